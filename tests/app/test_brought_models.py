"""Models that a person brings: used by name, remembered, refused to those who only ask."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_bert import tiny_source

import embedwell
from embedwell.app.config.settings import Settings
from embedwell.app.embedding.runtime import Runtime
from embedwell.app.models.obtain import artifact, named, pull_source, remove
from embedwell.app.models.pull import ChildPuller
from embedwell.cli.main import cli
from embedwell.core.errors import EngineError, ModelUnavailableError, UnknownModelError
from embedwell.core.events import Watch
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.known import Known

TEXTS = ["w5 w6 w7", "w8 w9", "w10 w11 w12"]


@pytest.fixture
def tiny(tmp_path) -> Path:
    folder = tmp_path / "tiny"
    tiny_source(folder)
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "w3 "}}')
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    place = tmp_path / "cache"
    monkeypatch.setenv("EMBEDWELL_CACHE", str(place))
    return place


def test_an_index_is_made_and_opened_again_with_a_folders_model(tiny, cache, tmp_path):
    with embedwell.open(tmp_path, model=f"file:{tiny}") as index:
        index.add(TEXTS)
        assert index.space.model == "file:tiny"
        assert index.space.query_prompt == "w3 "
    with embedwell.open(tmp_path) as index:
        assert len(index.search("w8 w9").results) == 3
        assert index.settings.model == f"file:tiny#{index.space.revision}"


def test_its_prompts_are_put_before_queries_alone(tiny, cache):
    with embedwell.Embedder(f"file:{tiny}@q32") as embedder:
        as_query = embedder.embed(["w5 w6"], kind="query")
        as_document = embedder.embed(["w3 w5 w6", "w5 w6"], kind="document")
    assert np.abs(as_query[0] - as_document[0]).max() < 1e-6
    assert np.abs(as_query[0] - as_document[1]).max() > 1e-3


def test_who_did_not_bring_it_cannot_have_it_read(tiny, cache):
    runtime = Runtime(Settings(cache=cache))
    ways = (
        runtime.card,
        lambda name: runtime.embed(name, ["a"], "document", Watch()),
        lambda name: runtime.load(name, Watch()),
        lambda name: runtime.pull(name, Watch()),
    )
    for name in (f"file:{tiny}", "hf:someone/model"):
        for way in ways:
            with pytest.raises(UnknownModelError, match="not looked at"):
                way(name)
    assert not cache.exists()


def test_the_child_that_pulls_makes_it_too(tiny, cache):
    settings = Settings(cache=cache)
    made = ChildPuller().artifact(settings, f"file:{tiny}@q8", Watch())
    assert made.name == "file:tiny@q8"
    assert made.folder.name.startswith("file--tiny@q8-")
    assert ChildPuller().artifact(settings, "file:tiny@q8", Watch()) == made


def test_it_is_pulled_listed_and_forgotten(tiny, cache):
    ask = CliRunner().invoke
    assert "file:tiny@q8 is ready" in ask(cli, ["models", "pull", f"file:{tiny}@q8"]).stdout
    rows = json.loads(ask(cli, ["models", "list", "--json"]).stdout)
    assert rows[-1]["name"] == "file:tiny"
    settings = Settings(cache=cache)
    assert remove(settings, "file:tiny", None) > 0
    with pytest.raises(UnknownModelError):
        Known(cache).card("file:tiny")


def test_a_level_in_the_name_removes_that_level_alone(tiny, cache):
    settings = Settings(cache=cache)
    for level in ("q8", "q32"):
        artifact(settings, f"file:{tiny}@{level}", Watch())
    assert remove(settings, "file:tiny@q32", None) > 0
    assert [made.name for made in ArtifactStore(cache).list()] == ["file:tiny@q8"]
    assert any((cache / "blobs").iterdir())


def test_folders_of_one_name_are_never_taken_for_each_other(tiny, cache, tmp_path, monkeypatch):
    other = tmp_path / "elsewhere" / "tiny"
    tiny_source(other, width=32)
    settings = Settings(cache=cache)
    made = {
        place: ChildPuller().artifact(settings, f"file:{place}@q32", Watch())
        for place in (tiny, other, tiny)
        if named(settings, f"file:{place}", Watch())
    }
    assert [one.space.dimensions for one in made.values()] == [48, 32]
    monkeypatch.chdir(other.parent)
    assert named(settings, "file:tiny", Watch())[0].dimensions == 32
    monkeypatch.chdir(tiny.parent)
    assert named(settings, "file:tiny", Watch())[0].dimensions == 48


def test_what_is_unverified_says_so_once_it_is_made(tiny, cache, caplog):
    runtime = Runtime(Settings(cache=cache))
    for _ in range(2):
        runtime.load(_brought(cache, tiny), Watch())
    runtime.close()
    said = [record for record in caplog.records if "is unverified" in record.getMessage()]
    assert len(said) == 1


def _brought(cache: Path, folder: Path) -> str:
    card, _ = named(Settings(cache=cache), f"file:{folder}", Watch())
    return f"{card.name}@q8"


def test_an_index_whose_model_is_unknown_here_takes_it_from_a_folder_of_another_name(
    tiny, cache, tmp_path, monkeypatch
):
    with embedwell.open(tmp_path, model=f"file:{tiny}") as index:
        index.add(TEXTS)
    monkeypatch.chdir(tmp_path)
    settings = Settings(cache=cache)

    def found():
        checks = json.loads(CliRunner().invoke(cli, ["doctor", "--json"]).stdout)["checks"]
        return next(check for check in checks if check["name"] == "index")

    assert found()["ok"]
    remove(settings, f"file:{tiny}", None)
    tiny.rename(tmp_path / "away")
    assert not found()["ok"]
    assert "'file:tiny' was not looked at" in found()["found"]
    assert "models pull file:PATH" in found()["remedy"]
    named(settings, f"file:{tmp_path / 'away'}", Watch())
    assert found()["ok"]
    with embedwell.open(tmp_path) as index:
        assert index.search("w8 w9").results[0].chunk.chunk.text == "w8 w9"


def test_a_place_that_went_away_is_named(tiny, cache, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    card, _ = named(Settings(cache=cache), f"file:{tiny}", Watch())
    tiny.rename(tiny.with_name("elsewhere"))
    with pytest.raises(ModelUnavailableError, match=f"{tiny} does not exist"):
        pull_source(Settings(cache=cache), card, Watch())


def test_the_engine_of_tables_refuses_a_network_before_anything_is_fetched(tmp_path):
    settings = Settings(cache=tmp_path, engine="static")
    with pytest.raises(EngineError, match="bge-m3 is a network") as refusal:
        artifact(settings, "bge-m3@q8", Watch())
    assert "models distill bge-m3" in refusal.value.remedy
