from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from msgspec import structs
from tiny_reranker import tiny_reranker

import embedwell
from embedwell.app.config.settings import Settings
from embedwell.app.embedding.reranker import Reranker, connect_reranker
from embedwell.app.embedding.runtime import Runtime
from embedwell.app.indexes.index import Index
from embedwell.app.indexes.migration import target_named
from embedwell.app.models.calibration import calibrate_model
from embedwell.app.models.distill import distill_model
from embedwell.core.errors import (
    EmbeddingsOffError,
    EmbedwellError,
    UnknownModelError,
    WrongTaskError,
)
from embedwell.core.events import Watch
from embedwell.models.artifacts import ArtifactStore
from embedwell.stores.protocol import CollectionSettings
from embedwell.stores.registry import create_store
from embedwell.testing import FAKE_SPACE, FakeEmbedder, FakeReranker

MODEL = "ms-marco-MiniLM-L6-v2"
TEXTS = ["w3 w4 w5", "w9", "w20 w21", ""]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return tiny_reranker(tmp_path_factory.mktemp("reranker"))


@pytest.fixture
def settings(tmp_path):
    return Settings(cache=tmp_path / "cache", threads=1, service="off", memory_budget="100%")


@pytest.fixture
def runtime(settings, artifact):
    made = Runtime(settings, make_artifact=lambda *_: artifact)
    yield made
    made.close()


@pytest.fixture
def here(monkeypatch, artifact, tmp_path):
    """The default reranker's artifact is found in the cache, though it is a tiny one."""
    monkeypatch.setenv("EMBEDWELL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ArtifactStore, "find", lambda *_: artifact)


def test_a_runtime_scores_with_a_model_that_it_loads_and_keeps(runtime):
    found = runtime.score(MODEL, "w3 w4", TEXTS, Watch())
    assert found.scores.shape == (4,)
    assert ((found.scores > 0) & (found.scores < 1)).all()
    (state,) = runtime.states()
    assert state.artifact.head == "rerank"
    handle = runtime.embedder(MODEL)
    assert handle.score("w3 w4", TEXTS, Watch()).scores.tolist() == found.scores.tolist()
    handle.close()
    assert not runtime.states()


def test_each_kind_of_model_is_refused_by_name_for_the_others_work(runtime, settings, tmp_path):
    with pytest.raises(WrongTaskError, match=f"'{MODEL}' scores pairs of texts"):
        runtime.embed(MODEL, ["w3"], "document", Watch())
    with pytest.raises(WrongTaskError, match=f"'{MODEL}' scores pairs of texts"):
        runtime.token_starts(MODEL, "w3")
    assert not runtime.states()
    with pytest.raises(WrongTaskError, match="'all-MiniLM-L6-v2' gives vectors"):
        runtime.score("all-MiniLM-L6-v2", "w3", ["w4"], Watch())
    with pytest.raises(WrongTaskError, match=MODEL):
        target_named(settings, MODEL, Watch())
    with pytest.raises(WrongTaskError, match=MODEL):
        embedwell.Embedder(MODEL)
    named = structs.replace(settings, model=MODEL)
    with pytest.raises(WrongTaskError, match=MODEL):
        calibrate_model(named, None, None, Watch())
    with pytest.raises(WrongTaskError, match=MODEL):
        distill_model(named, 64, None, Watch())
    (tmp_path / "notes").mkdir()
    with pytest.raises(WrongTaskError, match=MODEL):
        embedwell.open(tmp_path / "notes", model=MODEL)
    with pytest.raises(WrongTaskError, match="gives vectors"):
        Reranker("all-MiniLM-L6-v2")
    with pytest.raises(UnknownModelError, match="no-such"):
        Reranker("no-such")


def test_texts_are_ranked_best_first(here):
    with Reranker(threads=1) as reranker:
        ranked = reranker.rank("w3 w4", TEXTS)
        assert sorted(index for index, _ in ranked) == [0, 1, 2, 3]
        scores = [score for _, score in ranked]
        assert scores == sorted(scores, reverse=True)
        assert reranker.rank("w3 w4", TEXTS, top=2) == ranked[:2]
        assert reranker.rank("w3 w4", []) == []
        with pytest.raises(TypeError, match="list"):
            reranker.rank("w3", "w4")
        for query, texts in (("w3", ["w4", 5]), (None, ["w4"])):
            with pytest.raises(TypeError, match="takes texts"):
                reranker.rank(query, texts)
        with pytest.raises(ValueError, match="-1"):
            reranker.rank("w3", ["w4"], top=-1)
    with pytest.raises(EmbedwellError, match="closed"):
        reranker.rank("w3", ["w4"])
    reranker.close()


def test_without_a_service_the_model_runs_here(here, settings, tmp_path, caplog):
    reranker = connect_reranker(structs.replace(settings, service="auto"), MODEL, Watch())
    with caplog.at_level(logging.WARNING, "embedwell"):
        assert reranker.score("w3", TEXTS, Watch()).scores.shape == (4,)
    assert not caplog.records
    reranker.close()


def test_no_model_runs_where_models_are_switched_off(settings):
    off = structs.replace(settings, embeddings=False)
    with pytest.raises(EmbeddingsOffError):
        connect_reranker(off, MODEL, Watch())


def test_a_search_is_reranked_and_the_reranker_is_kept_and_closed(settings, tmp_path):
    asked, closed = [], []

    class Counted(FakeReranker):
        def close(self):
            closed.append(self)

    def rerankers(settings, model, watch):
        asked.append(model)
        return Counted()

    space = replace(FAKE_SPACE, model="all-MiniLM-L6-v2")
    store = create_store(tmp_path / "index.db", CollectionSettings(space, 60))
    index = Index(
        tmp_path / "index.db",
        store,
        Settings(),
        connect=lambda *_: FakeEmbedder(space),
        rerankers=rerankers,
    )
    with index:
        texts = ["a red fox", "the blue sea", "a blue whale", "a whale"]
        index.add(texts, ids=["fox", "sea", "both", "whale"])
        plain = index.search("blue whale", 2)
        found = index.search("blue whale", 2, rerank=MODEL)
        assert found.results[0].chunk.key == "both"
        assert [result.score for result in found.results] == [1.0, 0.5]
        assert all(result.similarity is not None for result in found.results)
        assert len(plain.results) == 2
        index.search("red fox", rerank=MODEL)
        assert asked == [MODEL]
    assert len(closed) == 1
