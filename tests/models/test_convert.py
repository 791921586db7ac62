from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from tiny_bert import (
    MAX_TOKENS,
    N_WORDS,
    batch_of,
    make,
    random_texts,
    source_of,
    tiny_source,
    tokenizer,
)
from tokenizers.models import WordLevel

from embedwell.core.artifact import QUANTIZATIONS
from embedwell.core.errors import ConversionError, TaskCancelledError, WrongBytesError
from embedwell.core.events import Progress, Watch
from embedwell.core.vectors import normalized
from embedwell.engines.registry import open_engine
from embedwell.models import forward
from embedwell.models.convert import convert
from embedwell.models.forward import Texts
from embedwell.models.key import conversion_key, recipe_hash
from embedwell.models.opening import open_network


def numpy_vectors(source, texts):
    """The whole network in plain numpy."""
    with open_network(source) as (config, tensors):
        return forward.pooled(config, tensors, Texts.of(texts), source.card.pooling)


@pytest.mark.parametrize("width", [16, 48, 80])
@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
def test_q32_is_the_plain_numpy_network(tmp_path, width, activation):
    source = tiny_source(tmp_path / "source", width, hidden_act=activation)
    texts = random_texts(1, 12)
    engine = open_engine(make(source, "q32", tmp_path / "artifact"), 1)
    vectors = engine.run(batch_of(texts))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, numpy_vectors(source, texts), atol=1e-4)


def test_a_batch_without_padding_is_the_plain_numpy_network_too(tmp_path):
    source = tiny_source(tmp_path / "source")
    texts = [text * MAX_TOKENS for text in ([1], [2], [3])]
    engine = open_engine(make(source, "q32", tmp_path / "artifact"), 1)
    batch = batch_of(texts)
    assert batch.mask.all()
    np.testing.assert_allclose(engine.run(batch), numpy_vectors(source, texts), atol=1e-4)


@pytest.mark.parametrize(("quantization", "least"), [("q16", 0.99999), ("q8", 0.99), ("q4", 0.9)])
def test_lower_quantizations_stay_near_q32(tmp_path, quantization, least):
    source = tiny_source(tmp_path / "source")
    texts = random_texts(2, 12)
    engine = open_engine(make(source, quantization, tmp_path / "artifact"), 1)
    vectors = normalized(engine.run(batch_of(texts)))
    cosines = (vectors * normalized(numpy_vectors(source, texts))).sum(axis=1)
    assert cosines.min() > least


def test_cls_pooling_takes_the_first_token(tmp_path):
    source = tiny_source(tmp_path / "source", n_layers=0)
    source = replace(source, card=replace(source.card, pooling="cls"))
    texts = random_texts(3, 4)
    engine = open_engine(make(source, "q32", tmp_path / "artifact"), 1)
    first = numpy_vectors(source, [text[:1] for text in texts])
    np.testing.assert_allclose(engine.run(batch_of(texts)), first, atol=1e-5)


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    source = tiny_source(folder / "source")
    return {level: open_engine(make(source, level, folder / level), 1) for level in QUANTIZATIONS}


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@given(
    texts=st.lists(
        st.lists(st.integers(0, N_WORDS - 1), min_size=1, max_size=MAX_TOKENS),
        min_size=2,
        max_size=8,
    )
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_vector_does_not_depend_on_the_texts_beside_it(engines, quantization, texts):
    engine = engines[quantization]
    together = normalized(engine.run(batch_of(texts)))
    alone = normalized(np.concatenate([engine.run(batch_of([text])) for text in texts]))
    assert (together * alone).sum(axis=1).min() >= 0.99999


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_converting_twice_gives_the_same_bytes(tmp_path, quantization):
    source = tiny_source(tmp_path / "source")
    hashes = []
    for name in ("once", "again"):
        folder = make(source, quantization, tmp_path / name).folder
        assert {path.name for path in folder.iterdir()} == {
            "model.onnx",
            "weights.bin",
            "tokenizer.json",
        }
        hashes.append([_hash(folder / file) for file in ("model.onnx", "weights.bin")])
    assert hashes[0] == hashes[1]


def _hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_names_may_share_a_prefix_and_weights_may_be_half_precision(tmp_path):
    source = tiny_source(tmp_path / "source")
    path = source.paths["model.safetensors"]
    halved = {f"bert.{name}": array.astype(np.float16) for name, array in load_file(path).items()}
    save_file(halved, path)
    texts = random_texts(4, 3)
    engine = open_engine(make(source, "q32", tmp_path / "artifact"), 1)
    np.testing.assert_allclose(engine.run(batch_of(texts)), numpy_vectors(source, texts), atol=1e-4)


def test_progress_counts_tensors(tmp_path):
    source = tiny_source(tmp_path / "source")
    seen: list[Progress] = []
    (tmp_path / "artifact").mkdir()
    convert(source, "q8", "onnx", tmp_path / "artifact", Watch(seen.append))
    assert [step.done for step in seen] == list(range(1, len(seen) + 1))
    assert seen[-1] == Progress("convert", len(seen), len(seen), "tensors")


def test_cancelling_stops_at_the_next_tensor(tmp_path):
    source = tiny_source(tmp_path / "source")
    cancelled = threading.Event()
    seen: list[Progress] = []

    def stop_at_three(step):
        seen.append(step)
        if step.done == 3:
            cancelled.set()

    (tmp_path / "artifact").mkdir()
    with pytest.raises(TaskCancelledError):
        convert(source, "q8", "onnx", tmp_path / "artifact", Watch(stop_at_three, cancelled))
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"hidden_size": 64}, "shape"),
        ({"num_hidden_layers": 3}, "encoder.layer.2"),
    ],
)
def test_weights_of_other_sizes_than_config_json_says_are_refused(tmp_path, changes, named):
    source = tiny_source(tmp_path / "source", **changes)
    with pytest.raises(ConversionError, match=named):
        make(source, "q32", tmp_path / "artifact")


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    source = tiny_source(tmp_path / "source")
    other = tokenizer()
    other.model = WordLevel({f"v{n}": n for n in range(N_WORDS + 1)}, unk_token="v0")
    other.save(str(source.paths["tokenizer.json"]))
    with pytest.raises(ConversionError, match=r"tokenizer has a token 60, .* vectors of 60"):
        make(source, "q8", tmp_path / "artifact")


def test_a_tokenizer_that_ends_in_a_panic_is_refused(tmp_path, capfd):
    source = tiny_source(tmp_path / "source")
    told = json.loads(source.paths["tokenizer.json"].read_text())
    told["post_processor"]["special_tokens"].pop("[SEP]")
    source.paths["tokenizer.json"].write_text(json.dumps(told))
    with pytest.raises(WrongBytesError, match="does not work"):
        make(source, "q8", tmp_path / "artifact")


def test_values_that_are_no_numbers_are_refused_by_name(tmp_path):
    source = tiny_source(tmp_path / "source")
    weights = load_file(source.paths["model.safetensors"])
    weights["encoder.layer.1.output.dense.weight"][3, 4] = np.inf
    save_file(weights, source.paths["model.safetensors"])
    with pytest.raises(ConversionError, match=r"layer.1.output.dense.weight' .* no numbers"):
        make(source, "q8", tmp_path / "artifact")


def test_an_unknown_architecture_or_pooling_is_refused(tmp_path):
    source = tiny_source(tmp_path / "source")
    for name, change in (("a", {"architecture": "rnn"}), ("b", {"pooling": "unknown"})):
        other = replace(source, card=replace(source.card, **change))
        with pytest.raises(ConversionError, match=next(iter(change.values()))):
            make(other, "q32", tmp_path / name)


@pytest.mark.parametrize("damage", ["cut", "text", "missing"])
def test_weights_that_are_not_safetensors_are_refused(tmp_path, damage):
    source = tiny_source(tmp_path / "source")
    path = source.paths["model.safetensors"]
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "text":
        path.write_text("version https://git-lfs.github.com/spec/v1\n" * 3)
    else:
        path.unlink()
    with pytest.raises(WrongBytesError, match=r"model\.safetensors"):
        make(source, "q32", tmp_path / "artifact")


@pytest.mark.parametrize("content", ["not json", "[]", '{"model_type": "bert"}', "{}"])
def test_a_broken_config_is_refused(tmp_path, content):
    source = tiny_source(tmp_path / "source")
    source.paths["config.json"].write_text(content)
    with pytest.raises(WrongBytesError, match=r"config\.json"):
        make(source, "q32", tmp_path / "artifact")


def test_the_key_follows_everything_that_determines_the_bytes(tmp_path):
    source = tiny_source(tmp_path / "source")
    keys = {conversion_key(source, level) for level in QUANTIZATIONS}
    keys.add(conversion_key(replace(source, card=replace(source.card, max_tokens=16)), "q8"))
    config = source.paths["config.json"]
    config.write_text(json.dumps(json.loads(config.read_text()) | {"layer_norm_eps": 1e-5}))
    keys.add(conversion_key(source_of(tmp_path / "source"), "q8"))
    assert len(keys) == 6
    assert recipe_hash(source, "q8") is None


def test_the_real_model_gives_its_published_first_values(real_artifact):
    engine = open_engine(real_artifact("q32"), 1)
    row = real_artifact("q32").space
    vector = normalized(engine.run(batch_of([[101, 7592, 2088, 102]])))  # "hello world"
    assert vector.shape == (1, row.dimensions)
    expected = [-0.034478, 0.03102, 0.00673, 0.02611, -0.039362]
    np.testing.assert_allclose(vector[0, :5], expected, atol=1e-3)
