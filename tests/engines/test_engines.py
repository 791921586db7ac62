"""What every engine does alike, over the same artifacts."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from tiny_artifact import artifact_of_sums

from embedwell.core.errors import EngineError
from embedwell.engines.protocol import TokenBatch
from embedwell.engines.registry import ENGINES, open_engine

ENGINE_NAMES = sorted(ENGINES)


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


@pytest.fixture(params=ENGINE_NAMES)
def sums(request, tmp_path):
    return replace(artifact_of_sums(tmp_path), engine=request.param)


@pytest.fixture(scope="module", params=["q16", "q32"])
def engines(request, real_artifact):
    """The same artifact by each engine."""
    artifact = real_artifact(request.param)
    opened = {name: open_engine(replace(artifact, engine=name), 1) for name in ENGINE_NAMES}
    yield opened
    for engine in opened.values():
        engine.close()


def test_a_batch_gives_a_float32_row_for_each_text(sums):
    engine = open_engine(sums, 2)
    vectors = engine.run(batch([1, 2], [3, 4]))
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, [[3], [7]])
    assert engine.build.name == sums.engine


def test_what_an_engine_gave_stays_as_it_was(sums):
    engine = open_engine(sums, 1)
    first = engine.run(batch([1, 2]))
    engine.run(batch([5, 6]))
    assert first.tolist() == [[3]]


def test_a_closed_engine_says_so(sums):
    engine = open_engine(sums, 1)
    engine.close()
    engine.close()
    gc.collect()
    with pytest.raises(EngineError, match=r"sums@q32.*closed"):
        engine.run(batch([1]))


@pytest.mark.parametrize("content", [b"", b"not a graph", None])
def test_an_artifact_that_does_not_load_is_named(sums, content):
    path = sums.folder / "model.onnx"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=r"sums@q32.*does not load"):
        open_engine(sums, 1)


def test_a_batch_that_fails_names_the_artifact_and_the_shape(sums):
    engine = open_engine(sums, 1)
    wrong = TokenBatch(np.array([["a"]]), np.ones((1, 1), np.int64))  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=r"sums@q32.*\(1, 1\)"):
        engine.run(wrong)


def test_several_threads_may_run_one_engine(sums):
    engine = open_engine(sums, 1)
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda number: engine.run(batch([number, number]))[0, 0], range(200))
        assert list(found) == [2 * number for number in range(200)]


@pytest.mark.parametrize(("n_texts", "length"), [(4, 20), (1, 3), (9, 9), (2, 130), (1, 256)])
def test_engines_give_the_same_vectors(engines, n_texts, length):
    found = random_batch(length, n_texts, length)
    reference, *others = (engine.run(found) for engine in engines.values())
    for vectors in others:
        np.testing.assert_allclose(vectors, reference, atol=1e-4)


@pytest.mark.parametrize("name", ENGINE_NAMES)
def test_a_text_has_the_same_vector_alone_and_in_a_batch(engines, name):
    together = random_batch(7, 5, 21)
    vectors = engines[name].run(together)
    for row, length in enumerate(together.mask.sum(axis=1)):
        alone = TokenBatch(together.ids[row : row + 1, :length], together.mask[:1, :length])
        np.testing.assert_allclose(engines[name].run(alone)[0], vectors[row], atol=1e-4)


@pytest.mark.parametrize("name", ENGINE_NAMES)
def test_the_first_batch_of_an_engine_is_as_good_as_the_later_ones(real_artifact, name):
    found = random_batch(3, 6, 17)
    engine = open_engine(replace(real_artifact("q32"), engine=name), 1)
    first = engine.run(found)
    np.testing.assert_allclose(engine.run(found), first, atol=1e-6)
    engine.close()
