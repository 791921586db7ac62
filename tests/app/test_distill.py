"""A static model from a tiny network, by the command's own function."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from msgspec import structs
from safetensors.numpy import load_file
from tiny_bert import tiny_source

from embedwell.app.config.settings import Settings
from embedwell.app.embedding.runtime import Runtime
from embedwell.app.models import distill as distilling
from embedwell.app.models.distill import distill_model
from embedwell.cli.models import command
from embedwell.core.errors import ConversionError, OverBudgetError, TaskCancelledError
from embedwell.core.events import Watch


@pytest.fixture
def settings(tmp_path):
    tiny_source(tmp_path / "tiny")
    return Settings(model=f"file:{tmp_path / 'tiny'}", cache=tmp_path / "cache", threads=1)


def vectors(settings, model, texts):
    runtime = Runtime(settings)
    try:
        return runtime.embed(model, texts, "document", Watch()).vectors
    finally:
        runtime.close()


def test_it_can_be_used_by_its_name_from_then_on(settings):
    made = distill_model(settings, 16, None, Watch())
    assert made.name == "file:tiny-static-16"
    assert {path.name for path in made.folder.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    }
    found = vectors(settings, made.name, ["w20 w21", "w20 w21 w21", ""])
    assert found.shape == (3, 16)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found[0] @ found[1]) > 0.8
    assert not (settings.cache / "artifacts").exists() or not list(
        (settings.cache / "artifacts").glob("*static*.onnx")
    )


def test_done_again_it_takes_the_place_of_the_first(settings):
    first, again = (distill_model(settings, 8, None, Watch()) for _ in range(2))
    assert first == again
    assert vectors(settings, again.name, ["w20"]).shape == (1, 8)


def test_another_model_of_that_name_is_not_taken_for_the_first(settings, tmp_path):
    distill_model(settings, 8, None, Watch())
    other = tmp_path / "me@home" / "tiny"
    tiny_source(other, width=32)
    made = distill_model(structs.replace(settings, model=f"file:{other}"), 8, None, Watch())
    table = load_file(made.folder / "model.safetensors")["embeddings"]
    found = vectors(settings, f"{made.name}@q32", ["w20"])[0]
    mean = table[[1, 20, 2]].sum(axis=0)  # its [CLS] and [SEP] are ordinary words
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-5)


def test_a_folder_of_ones_own(settings, tmp_path):
    made = distill_model(settings, None, tmp_path / "mine", Watch())
    assert made.folder == tmp_path / "mine"
    assert json.loads((made.folder / "config.json").read_text())["hidden_dim"] == 48


def test_an_empty_folder_is_filled_and_a_full_one_left_alone(settings, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    distill_model(settings, 8, mine, Watch())
    (mine / "notes.md").write_text("my own")
    with pytest.raises(ConversionError, match="not empty"):
        distill_model(settings, 8, mine, Watch())
    assert (mine / "notes.md").read_text() == "my own"


def test_a_static_model_is_not_distilled_again(settings):
    made = distill_model(settings, 8, None, Watch())
    with pytest.raises(ConversionError, match="static model already"):
        distill_model(structs.replace(settings, model=made.name), 8, None, Watch())


@pytest.mark.parametrize("dimensions", [49, 1000])
def test_more_dimensions_than_there_are_is_refused(settings, dimensions):
    with pytest.raises(ConversionError, match=f"48 dimensions, and {dimensions} were asked for"):
        distill_model(settings, dimensions, None, Watch())


def test_what_does_not_fit_the_budget_is_refused(settings):
    small = structs.replace(settings, memory_budget="1MB")
    with pytest.raises(OverBudgetError, match=r"takes about .* and the budget is"):
        distill_model(small, 8, None, Watch())


def test_stopped_it_leaves_nothing(settings, monkeypatch):
    distill_model(settings, 8, settings.cache / "warm", Watch())
    watch = Watch()

    real = distilling.read_vocabulary

    def stop_then_read(*given):
        watch.cancelled.set()
        return real(*given)

    monkeypatch.setattr(distilling, "read_vocabulary", stop_then_read)
    with pytest.raises(TaskCancelledError):
        distill_model(settings, 8, None, watch)
    assert not (settings.cache / "distilled").exists()


def test_the_command_says_what_it_made(settings, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_CACHE", str(settings.cache))
    monkeypatch.delenv("EMBEDWELL_MODEL_FILES", raising=False)
    given = ["distill", settings.model, "--dimensions", "8", "--json"]
    found = CliRunner().invoke(command, given, catch_exceptions=False)
    assert json.loads(found.output)["model"] == "file:tiny-static-8"
