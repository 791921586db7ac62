"""Every family of networks: its graph beside plain numpy, and what the quantizations keep."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from tiny_bert import batch_of, make, random_texts
from tiny_networks import CONFIGS, MAX_TOKENS, N_LAYERS, SCORERS, tiny_network

from embedwell.core.artifact import QUANTIZATIONS
from embedwell.core.events import Watch
from embedwell.core.vectors import normalized
from embedwell.engines.registry import open_engine
from embedwell.models import forward, key
from embedwell.models.calibrate import calibrate
from embedwell.models.forward import Texts
from embedwell.models.networks.distance import alibi_slopes, bucket_bias, rotary_tables
from embedwell.models.opening import open_network

NAMES = tuple(CONFIGS)
# Longer than the windows of ModernBERT's local layers and shorter, and as long as can be.
TEXTS = [list(range(3, 3 + length)) for length in (1, 2, 3, 5, 9, 17, MAX_TOKENS)]


def numpy_vectors(source, texts):
    """The whole network in plain numpy."""
    with open_network(source) as (config, tensors):
        return forward.pooled(config, tensors, Texts.of(texts), source.card.pooling)


def run(source, quantization, folder, *batches):
    engine = open_engine(make(source, quantization, folder), 1)
    try:
        return np.concatenate([engine.run(batch_of(texts)) for texts in batches])
    finally:
        engine.close()


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("name", NAMES)
def test_q32_is_the_plain_numpy_network(tmp_path, name, pooling):
    source = tiny_network(tmp_path / "source", name)
    source = replace(source, card=replace(source.card, pooling=pooling))
    expected = numpy_vectors(source, TEXTS)
    padded = run(source, "q32", tmp_path / "artifact", TEXTS[:4], TEXTS[4:])
    np.testing.assert_allclose(padded, expected, atol=1e-4)


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_vector_is_near_q32_and_does_not_depend_on_the_texts_beside_it(
    tmp_path, name, quantization
):
    source = tiny_network(tmp_path / "source", name)
    engine = open_engine(make(source, quantization, tmp_path / "artifact"), 1)
    alone = normalized(np.concatenate([engine.run(batch_of([text])) for text in TEXTS]))
    together = normalized(engine.run(batch_of(TEXTS)))
    some = normalized(engine.run(batch_of(TEXTS[:5])))
    assert (alone * together).sum(axis=1).min() >= 0.99999
    assert (alone[:5] * some).sum(axis=1).min() >= 0.99999
    exact = normalized(numpy_vectors(source, TEXTS))
    least = {"q32": 0.999999, "q16": 0.9999, "q8": 0.98, "q4": 0.8}[quantization]
    assert (alone * exact).sum(axis=1).min() >= least


@pytest.mark.parametrize("name", SCORERS)
def test_a_scoring_head_is_the_plain_numpy_one(tmp_path, name):
    source = tiny_network(tmp_path / "source", name, head="rerank")
    with open_network(source) as (config, tensors):
        first = forward.pooled(config, tensors, Texts.of(TEXTS), "cls")
        read, head = tensors.read, config.head
        inner = first @ read("pooler.weight").T + (read("pooler.bias") if head.bias else 0)
        inner = np.tanh(inner) if head.activation == "tanh" else forward.activated(inner, "gelu")
        if head.norm:
            inner = forward.NumpyParts(config, tensors, Texts.of(TEXTS)).norm(inner, "pooler_norm")
        expected = inner @ read("classifier.weight").T + read("classifier.bias")
    engine = open_engine(make(source, "q32", tmp_path / "artifact"), 1)
    batch = batch_of(TEXTS)
    found = engine.run(replace(batch, types=np.zeros_like(batch.ids)))
    assert found.shape == (len(TEXTS), 1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_head_that_takes_the_mean_counts_no_padding(tmp_path):
    changes = {"classifier_pooling": "mean"}
    source = tiny_network(tmp_path / "source", "modernbert", head="rerank", **changes)
    engine = open_engine(make(source, "q32", tmp_path / "artifact"), 1)
    together = engine.run(batch_of(TEXTS))
    alone = np.concatenate([engine.run(batch_of([text])) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "bert"])
def test_openvino_computes_the_same(tmp_path, name):
    pytest.importorskip("openvino")
    source = tiny_network(tmp_path / "source", name)
    artifact = make(source, "q32", tmp_path / "artifact")
    engine = open_engine(replace(artifact, engine="openvino"), 1)
    found = np.concatenate([engine.run(batch_of(texts)) for texts in (TEXTS[:5], TEXTS[6:])])
    engine.close()
    expected = numpy_vectors(source, [*TEXTS[:5], *TEXTS[6:]])
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["mpnet", "nomic_bert", "jina_bert_v2 for code", "modernbert"])
def test_every_family_can_be_calibrated(tmp_path, monkeypatch, name):
    monkeypatch.setattr(key, "_RECIPES", tmp_path)
    source = tiny_network(tmp_path / "source", name)
    words = [" ".join(f"w{i}" for i in text) for text in random_texts(7, 120)]
    recipe = calibrate(source, words, Watch())
    assert len(recipe.sites) == 4 * N_LAYERS
    (tmp_path / f"{recipe.weights_sha256}.safetensors").write_bytes(recipe.to_bytes())
    texts = [[1, *text, 2] for text in random_texts(8, 40)]
    exact = normalized(numpy_vectors(source, texts))
    with_recipe = normalized(run(source, "q8", tmp_path / "with", texts))
    assert (with_recipe * exact).sum(axis=1).mean() > 0.995


def test_tables_of_words_pass_in_blocks(tmp_path):
    n_words, width = 120_000, 64
    sizes = {"vocab_size": n_words, "hidden_size": width, "num_hidden_layers": 1}
    source = tiny_network(tmp_path / "source", "bert", **sizes)
    for quantization in ("q32", "q8"):
        tracemalloc.start()
        make(source, quantization, tmp_path / quantization)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < n_words * width * 4 * 0.75


# --- what depends on distances, beside what was published ---


def test_alibi_slopes_are_those_of_the_paper():
    np.testing.assert_allclose(alibi_slopes(8), [2.0**-n for n in range(1, 9)])
    twelve = [2.0**-n for n in range(1, 9)] + [2.0**-n for n in (0.5, 1.5, 2.5, 3.5)]
    np.testing.assert_allclose(alibi_slopes(12), twelve, rtol=1e-6)


def test_distances_share_buckets_as_in_t5():
    numbers = np.arange(32, dtype=np.float32)[:, None]
    buckets = bucket_bias(numbers, 200)[:, 0].astype(int)
    before, after = buckets[199::-1], buckets[199:]
    assert before[:9].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert after[:9].tolist() == [0, 17, 18, 19, 20, 21, 22, 23, 24]
    # 8 * (distance / 8) ** (bucket - 8) / 8 is reached at 12, 16, 23, 32, 46, 64 and 91.
    assert [before[n] for n in (11, 12, 15, 16, 31, 32, 63, 64, 90, 91, 128, 199)] == [
        8, 9, 9, 10, 11, 12, 13, 14, 14, 15, 15, 15,
    ]  # fmt: skip
    assert after.max() == 31


def test_rotary_positions_turn_with_the_distance_only():
    cosines, sines = rotary_tables(1000.0, 8, 30)
    assert cosines.shape == (30, 4)
    turned = cosines + 1j * sines
    np.testing.assert_allclose(turned[7] * turned[2].conj(), turned[15] * turned[10].conj(),
                               atol=1e-6)  # fmt: skip
    np.testing.assert_allclose(np.angle(turned[1]), 1000.0 ** -(np.arange(4) / 4), rtol=1e-5)


def test_biases_may_be_there_or_not(tmp_path):
    changes = {"qkv_proj_bias": True, "mlp_fc1_bias": True, "mlp_fc2_bias": True}
    source = tiny_network(tmp_path / "nomic", "nomic_bert", **changes)
    found = run(source, "q32", tmp_path / "q32", TEXTS)
    np.testing.assert_allclose(found, numpy_vectors(source, TEXTS), atol=1e-4)
    changes = {"norm_bias": True, "attention_bias": True, "mlp_bias": True}
    source = tiny_network(tmp_path / "modern", "modernbert", **changes)
    found = run(source, "q32", tmp_path / "modern32", TEXTS)
    np.testing.assert_allclose(found, numpy_vectors(source, TEXTS), atol=1e-4)
