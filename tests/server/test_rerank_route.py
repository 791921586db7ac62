"""Reranking over HTTP, and the library that asks the service for it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from indexes import make_index
from msgspec import structs
from serving import FakeRuntime, wait_until
from starlette.testclient import TestClient
from tiny_reranker import tiny_reranker

from embedwell.app.config.settings import Settings
from embedwell.app.embedding.reranker import connect_reranker
from embedwell.core.errors import QueryError, ServiceGoneError, WrongTaskError
from embedwell.core.events import Watch
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.heads import check_head
from embedwell.server.application import application
from embedwell.server.shared.service import Service
from embedwell.testing import FakeReranker

MODEL = "ms-marco-MiniLM-L6-v2"
TEXTS = ["a red fox", "the blue sea", "a blue whale", "a whale"]
BODY = {"model": MODEL, "query": "blue whale", "documents": TEXTS}


@dataclass
class ScoringRuntime(FakeRuntime):
    """A fake runtime that also scores pairs.

    Attributes:
        asked: Models that were named, in order.
        refusal: Raised instead of an answer.
        hold_scores: Scores wait until it is set, or until nobody wants them; set from the start.
    """

    asked: list[str] = field(default_factory=list)
    refusal: Exception | None = None
    hold_scores: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.hold_scores.set()

    def score(self, model, query, texts, watch):
        check_head(self.card(model), "rerank")
        self.asked.append(model)
        for _ in range(1000):
            if self.hold_scores.wait(0.01):
                break
            watch.check("rerank")
        if self.refusal:
            raise self.refusal
        return FakeReranker().score(query, texts, watch)


@pytest.fixture
def runtime():
    return ScoringRuntime()


def test_texts_come_back_best_first(fake_service):
    answer = fake_service.post("/v1/rerank", json=BODY)
    assert answer.status_code == 200
    assert answer.json() == {
        "model": MODEL,
        "object": "list",
        "results": [
            {"index": 2, "relevance_score": 1.0},
            {"index": 1, "relevance_score": 0.5},
            {"index": 3, "relevance_score": 0.5},
            {"index": 0, "relevance_score": 0.0},
        ],
        "usage": {"total_tokens": 19, "n_truncated": 0},
    }


def test_the_best_few_with_their_texts(fake_service):
    documents = [TEXTS[0], {"text": TEXTS[2]}]
    body = BODY | {"documents": documents, "top_n": 1, "return_documents": True}
    (result,) = fake_service.post("/v1/rerank", json=body).json()["results"]
    assert result == {"index": 1, "relevance_score": 1.0, "document": {"text": TEXTS[2]}}


def test_the_default_model_is_the_small_one(fake_service, runtime):
    body = {name: value for name, value in BODY.items() if name != "model"}
    assert fake_service.post("/v1/rerank", json=body).json()["model"] == MODEL
    assert runtime.asked == [MODEL]


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"documents": []}, 400, "0 texts"),
        ({"documents": ["x"] * 1001}, 400, "1,001 texts"),
        ({"top_n": 0}, 400, "top_n"),
        ({"model": "no-such"}, 404, "no-such"),
        ({"model": "all-MiniLM-L6-v2"}, 400, "gives vectors"),
    ],
)
def test_what_cannot_be_ranked_is_refused(fake_service, change, status, said):
    answer = fake_service.post("/v1/rerank", json=BODY | change)
    assert answer.status_code == status
    assert said in answer.json()["error"]["problem"]


def test_a_search_is_reranked_where_that_is_asked_for(tmp_path, runtime):
    notes = make_index(tmp_path / "notes")
    runtime.settings = structs.replace(runtime.settings, indexes=(str(notes),))
    service = Service(runtime.settings, runtime)
    with TestClient(application(service), base_url="http://127.0.0.1:8437") as client:
        body = {"query": "dough rises", "k": 2, "rerank": MODEL}
        answer = client.post("/v1/search", json=body).json()
    service.close()
    assert answer["results"][0]["path"] == "bread.md"
    assert answer["results"][0]["score"] == 1.0
    assert len(answer["results"]) == 2


def test_a_search_whose_reranking_takes_too_long_is_stopped(tmp_path, runtime):
    notes = make_index(tmp_path / "notes")
    runtime.settings = structs.replace(
        runtime.settings, indexes=(str(notes),), request_timeout_s=0.5
    )
    runtime.hold_scores.clear()
    service = Service(runtime.settings, runtime)
    with TestClient(application(service), base_url="http://127.0.0.1:8437") as client:
        body = {"query": "dough rises", "mode": "lexical", "rerank": MODEL}
        assert client.post("/v1/search", json=body).status_code == 504
    service.close()


@contextmanager
def over_socket(runtime: FakeRuntime, path: Path) -> Iterator[None]:
    """Serve a runtime at a Unix socket, in a thread."""
    service = Service(runtime.settings, runtime)
    config = uvicorn.Config(
        application(service), uds=str(path), log_level="critical", lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        path.chmod(0o600)
        yield
    finally:
        server.should_exit = True
        thread.join(20)
        path.unlink(missing_ok=True)
        service.close()


def test_the_library_asks_the_service(folder, runtime):
    settings = Settings(
        cache=folder / "cache", socket=folder / "s", service="require", model="auto"
    )
    texts = TEXTS * 100
    with over_socket(runtime, folder / "s"):
        reranker = connect_reranker(settings, MODEL, Watch())
        found = reranker.score("blue whale", texts, Watch())
        assert found.scores.tolist() == [0, 0.5, 1, 0.5] * 100
        assert found.n_tokens == 1900
        assert runtime.asked == [MODEL, MODEL]  # in two requests
        runtime.refusal = QueryError("The query is too long.", "Ask in fewer words.")
        with pytest.raises(QueryError, match="too long"):
            reranker.score("blue whale", texts, Watch())
    with pytest.raises(ServiceGoneError):
        reranker.score("blue whale", texts, Watch())
    reranker.close()


def test_where_the_service_goes_the_model_runs_here(folder, runtime, monkeypatch, caplog):
    artifact = tiny_reranker(folder / "tiny")
    monkeypatch.setattr(ArtifactStore, "find", lambda *_: artifact)
    settings = Settings(cache=folder / "cache", socket=folder / "s", threads=1)
    with over_socket(runtime, folder / "s"):
        reranker = connect_reranker(settings, MODEL, Watch())
        assert reranker.score("blue whale", TEXTS, Watch()).scores.tolist() == [0, 0.5, 1, 0.5]
    with socket.socket(socket.AF_UNIX) as dead, caplog.at_level("WARNING", "embedwell"):
        dead.bind(str(folder / "s"))  # what a killed service leaves there
        for _ in range(2):
            scores = reranker.score("blue whale", TEXTS, Watch()).scores
            assert len(set(scores.tolist()) - {0, 0.5, 1}) > 0
    assert "goes on in this process" in caplog.text
    assert len(caplog.records) == 1
    reranker.close()


def test_a_model_of_vectors_is_refused_before_anything_is_asked(folder):
    settings = Settings(cache=folder / "cache", socket=folder / "s", service="require")
    with pytest.raises(WrongTaskError, match="'all-MiniLM-L6-v2' gives vectors"):
        connect_reranker(settings, "all-MiniLM-L6-v2", Watch())
