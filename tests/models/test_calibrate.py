from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from tiny_bert import N_WORDS, batch_of, make, random_texts, tiny_source
from tokenizers import Tokenizer

from embedwell.core.errors import ConversionError, TaskCancelledError
from embedwell.core.events import Progress, Watch
from embedwell.core.vectors import normalized
from embedwell.engines.registry import open_engine
from embedwell.models import key
from embedwell.models.calibrate import calibrate
from embedwell.models.calibration_texts import calibration_texts

WORDS = [" ".join(f"w{i}" for i in text) for text in random_texts(7, 120)]


@pytest.fixture
def recipes(monkeypatch, tmp_path):
    """An empty folder in place of the package's recipes."""
    monkeypatch.setattr(key, "_RECIPES", tmp_path / "recipes")
    (tmp_path / "recipes").mkdir()
    return tmp_path / "recipes"


def install(recipe, recipes: Path):
    (recipes / f"{recipe.weights_sha256}.safetensors").write_bytes(recipe.to_bytes())


@pytest.mark.parametrize(("width", "activation"), [(48, "gelu"), (96, "gelu_new")])
def test_a_recipe_comes_nearer_to_q32_than_no_recipe_and_keeps_texts_apart(
    tmp_path, recipes, width, activation
):
    source = tiny_source(tmp_path / "source", width, hidden_act=activation)
    texts = [[1, *text, 2] for text in random_texts(8, 40)]
    exact = run(make(source, "q32", tmp_path / "q32"), texts)
    without = run(make(source, "q8", tmp_path / "without"), texts)
    before = key.conversion_key(source, "q8")
    install(calibrate(source, WORDS, Watch()), recipes)
    assert key.conversion_key(source, "q8") != before
    assert key.recipe_hash(source, "q8") is not None
    assert key.recipe_hash(source, "q4") is None
    artifact = make(source, "q8", tmp_path / "with")
    vectors = run(artifact, texts)
    assert (vectors * exact).sum(axis=1).mean() > (without * exact).sum(axis=1).mean()
    assert (vectors * exact).sum(axis=1).min() > 0.99
    alone = np.concatenate([run(artifact, [text]) for text in texts])
    assert (vectors * alone).sum(axis=1).min() >= 0.99999


def run(artifact, texts):
    return normalized(open_engine(artifact, 1).run(batch_of(texts)))


def test_the_graph_computes_what_the_recipe_says(tmp_path, recipes):
    source = tiny_source(tmp_path / "source")
    recipe = calibrate(source, WORDS, Watch())
    assert len(recipe.sites["0.ffn_out"].copies) == 96 + 2
    assert (np.bincount(recipe.sites["0.ffn_out"].copies) >= 1).all()
    for site in recipe.sites.values():
        n_out, n_in = len(site.bias), len(site.smooth)
        weight = np.random.default_rng(0).standard_normal((n_out, n_in)).astype(np.float32)
        integer = site.integer_weight(weight)
        assert integer.dtype == np.int8
        assert integer.shape == (n_out, len(site.copies))


def test_progress_counts_sites_and_can_be_stopped(tmp_path):
    source = tiny_source(tmp_path / "source")
    seen: list[Progress] = []
    cancelled = threading.Event()

    def stop_at_two(step):
        seen.append(step)
        if step.done == 2:
            cancelled.set()

    with pytest.raises(TaskCancelledError):
        calibrate(source, WORDS, Watch(stop_at_two, cancelled))
    assert seen[-1] == Progress("calibrate", 2, 8, "sites")


def test_too_few_texts_are_refused(tmp_path):
    source = tiny_source(tmp_path / "source")
    with pytest.raises(ConversionError, match="3 texts are too few"):
        calibrate(source, WORDS[:3], Watch())


def test_our_own_texts_are_always_the_same_and_of_all_kinds():
    texts = calibration_texts()
    assert texts == calibration_texts()
    assert 300 < len(texts) < 1000
    assert {"", " ", "Yes, of course.", "Non"} <= set(texts)
    assert any("def " in text for text in texts)
    assert any(len(text) > 1000 for text in texts)


def test_the_tiny_tokenizer_knows_the_words_used_here(tmp_path):
    source = tiny_source(tmp_path / "source")
    tokenizer = Tokenizer.from_file(str(source.paths["tokenizer.json"]))
    assert tokenizer.get_vocab_size() == N_WORDS
