from __future__ import annotations

import logging

import pytest
from click.testing import CliRunner
from tiny_bert import tiny_source

import embedwell
from embedwell.app.config.settings import Settings
from embedwell.app.models.auto import is_present, with_model
from embedwell.app.models.distill import distill_model
from embedwell.cli.main import cli
from embedwell.core.errors import ConversionError, ModelUnavailableError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.models.catalogue import card

NAME = "all-MiniLM-L6-v2"


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A catalogue of one tiny model, whose files lie in a folder."""
    source = tiny_source(tmp_path / "tiny")
    monkeypatch.setattr("embedwell.models.known.catalogue", lambda: {source.card.name: source.card})
    return source


def test_a_named_model_stays(tmp_path):
    settings = Settings(cache=tmp_path)
    assert with_model(settings, Watch()) == (settings, None)


def test_a_model_that_is_here_is_chosen_and_said(real_cache, caplog):
    with caplog.at_level(logging.INFO, logger="embedwell"):
        settings, choice = with_model(Settings(model="auto", cache=real_cache), Watch())
    assert settings.model == choice.name == NAME
    assert choice.reason in caplog.text


def test_a_model_that_can_be_had_is_brought(tiny, tmp_path):
    folder = next(iter(tiny.paths.values())).parent
    settings = Settings(model="auto", cache=tmp_path / "cache", model_files=folder)
    assert not is_present(settings.cache, tiny.card)
    assert with_model(settings, Watch())[0].model == tiny.card.name
    assert is_present(settings.cache, tiny.card)


def test_where_none_can_be_had_the_reason_is_told(tiny, tmp_path, monkeypatch):
    def refuse(*_):
        raise ModelUnavailableError("No mirror could give it.", "Connect.")

    monkeypatch.setattr("embedwell.app.models.auto.pull_source", refuse)
    with pytest.raises(ModelUnavailableError, match="No mirror could give it"):
        with_model(Settings(model="auto", cache=tmp_path / "cache"), Watch())


def test_choosing_can_be_cancelled(tiny, tmp_path):
    watch = Watch()
    watch.cancelled.set()
    with pytest.raises(TaskCancelledError):
        with_model(Settings(model="auto", cache=tmp_path / "cache"), watch)


def test_the_chosen_name_is_written_into_a_new_index_and_stays(real_cache, tmp_path):
    with embedwell.open(tmp_path, model="auto") as index:
        assert index.space == card(NAME).space
        assert "The model is all-MiniLM-L6-v2" in index.chosen.reason
        assert index.store.settings.made_by.endswith(f"{NAME}@q8")
        index.add(["some words"])
    with embedwell.open(tmp_path, model="auto") as index:
        assert index.chosen is None
        assert index.settings.model == NAME
        assert index.search("words").results


def test_an_embedder_may_choose_too(real_cache):
    with embedwell.Embedder("auto") as embedder:
        assert embedder.space.model == NAME


def test_it_may_be_pulled_and_distilled_by_that_name(real_cache):
    said = CliRunner().invoke(cli, ["models", "pull", "auto"])
    assert said.stdout.startswith(f"{NAME}@q8 is ready")
    with pytest.raises(ConversionError, match=f"{NAME} has 384 dimensions, and 999 were asked"):
        distill_model(Settings(model="auto", cache=real_cache), 999, None, Watch())
