"""What every engine does alike, over the same artifacts."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from gguf_artifact import artifact_of_gguf, random_artifact
from tiny_artifact import artifact_of_sums, random_table

from embedwell.core.errors import EngineError, MissingExtraError
from embedwell.engines.protocol import TokenBatch
from embedwell.engines.registry import ENGINES, form_of, import_engine, open_engine

ENGINE_NAMES = sorted(ENGINES)
# Largest difference of a value of a normalized vector. llama.cpp looks GELU up in a table of half
# precision; OpenVINO computes q16 in bfloat16 where the processor can.
TOLERANCES = {"llamacpp": 1e-3, "openvino": 3e-3}


def batch(*ids):
    return TokenBatch(np.array(ids, np.int64), np.ones((len(ids), len(ids[0])), np.int64))


def random_batch(seed, n_texts, length):
    """Texts of random tokens; all but the first are shorter."""
    random = np.random.default_rng(seed)
    ids = random.integers(1000, 20_000, (n_texts, length))
    mask = np.ones_like(ids)
    for row in range(1, n_texts):
        mask[row, random.integers(2, length + 1) :] = 0
    return TokenBatch(ids * mask, mask)


def why_absent(name):
    """Why an engine cannot be had here; empty where it can."""
    try:
        import_engine(name)
    except (EngineError, MissingExtraError) as error:
        return str(error)
    return ""


@pytest.fixture(params=ENGINE_NAMES)
def tiny(request, tmp_path):
    """The smallest artifact for each engine: vectors of one dimension or of 48."""
    if reason := why_absent(request.param):
        pytest.skip(reason)
    make = {"onnx": artifact_of_sums, "gguf": random_artifact, "static": random_table}
    return replace(make[form_of(request.param)](tmp_path), engine=request.param)


@pytest.fixture(scope="module", params=["q16", "q32"])
def engines(request, real_artifact, published, tmp_path_factory):
    """The same model by each engine."""
    opened = {}
    for name in ENGINE_NAMES:
        if form_of(name) == "static" or why_absent(name):  # static: a model of its own
            continue
        artifact = replace(real_artifact(request.param), engine=name)
        if form_of(name) == "gguf":
            kind = {"q16": "F16", "q32": "F32"}[request.param]
            folder = tmp_path_factory.mktemp("gguf") / kind
            artifact = artifact_of_gguf(artifact, published, folder, kind)
        opened[name] = open_engine(artifact, 1)
    yield opened
    for engine in opened.values():
        engine.close()


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_batch_gives_a_float32_row_for_each_text(tiny):
    engine = open_engine(tiny, 2)
    vectors = engine.run(batch([1, 2], [3, 4]))
    assert vectors.dtype == np.float32
    assert vectors.shape == (2, tiny.space.dimensions)
    for row, ids in enumerate([[1, 2], [3, 4]]):
        np.testing.assert_allclose(engine.run(batch(ids))[0], vectors[row], rtol=1e-6)
    assert engine.build.name == tiny.engine
    assert engine.build.version
    assert len(engine.build.native) >= 32
    engine.close()


def test_a_graph_is_run_as_it_is_written(tiny):
    if form_of(tiny.engine) == "onnx":
        vectors = open_engine(tiny, 2).run(batch([1, 2], [3, 4]))
        np.testing.assert_array_equal(vectors, [[3], [7]])


def test_what_an_engine_gave_stays_as_it_was(tiny):
    engine = open_engine(tiny, 1)
    first = engine.run(batch([1, 2]))
    kept = first.copy()
    engine.run(batch([5, 6]))
    np.testing.assert_array_equal(first, kept)
    engine.close()


def test_a_closed_engine_says_so(tiny):
    engine = open_engine(tiny, 1)
    engine.close()
    engine.close()
    gc.collect()
    with pytest.raises(EngineError, match=rf"{tiny.name}.*closed"):
        engine.run(batch([1]))


@pytest.mark.parametrize("content", [b"", b"not a graph", None])
def test_an_artifact_that_does_not_load_is_named(tiny, content):
    (path,) = [*tiny.folder.glob("model.*"), *tiny.folder.glob("table.npy")]
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=rf"{tiny.name}.*does not load"):
        open_engine(tiny, 1)


def test_a_batch_that_fails_names_the_artifact_and_the_shape(tiny):
    engine = open_engine(tiny, 1)
    wrong = TokenBatch(np.array([["a"]]), np.ones((1, 1), np.int64))  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=rf"{tiny.name}.*\(1, 1\)"):
        engine.run(wrong)
    engine.close()


def test_several_threads_may_run_one_engine(tiny):
    engine = open_engine(tiny, 1)
    expected = [engine.run(batch([number, number])) for number in range(10)]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda number: engine.run(batch([number, number])), 20 * [*range(10)])
        for vectors, right in zip(found, 20 * expected, strict=True):
            np.testing.assert_array_equal(vectors, right)
    engine.close()


@pytest.mark.parametrize(("n_texts", "length"), [(4, 20), (1, 3), (9, 9), (2, 130), (1, 256)])
def test_engines_give_the_same_vectors(engines, n_texts, length):
    found = random_batch(length, n_texts, length)
    reference = unit(engines["onnx"].run(found))
    for name, engine in engines.items():
        tolerance = TOLERANCES.get(name, 1e-4)
        np.testing.assert_allclose(unit(engine.run(found)), reference, atol=tolerance)


def test_a_text_has_the_same_vector_alone_and_in_a_batch(engines):
    together = random_batch(7, 5, 21)
    for engine in engines.values():
        vectors = engine.run(together)
        for row, length in enumerate(together.mask.sum(axis=1)):
            alone = TokenBatch(together.ids[row : row + 1, :length], together.mask[:1, :length])
            np.testing.assert_allclose(engine.run(alone)[0], vectors[row], atol=1e-4)


def test_the_first_batch_of_an_engine_is_as_good_as_the_later_ones(engines, real_artifact):
    found = random_batch(3, 6, 17)
    for name in engines:
        if form_of(name) == "onnx":
            engine = open_engine(replace(real_artifact("q32"), engine=name), 1)
            first = engine.run(found)
            np.testing.assert_allclose(engine.run(found), first, atol=1e-6)
            engine.close()
