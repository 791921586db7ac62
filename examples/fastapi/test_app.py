"""The application's own tests: the same before and after it got other embeddings."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from own import HashedWords

from app import application_with, application_with_embedwell

NOTES = ["the ferry leaves at noon", "bread rises in the warmth", "def retry(times): ..."]


@pytest.fixture(params=["own", "embedwell"])
def client(request, monkeypatch):
    if request.param == "own":
        yield TestClient(application_with(HashedWords()))
        return
    pytest.importorskip("embedwell")
    # Any models do; these two are small.
    monkeypatch.setenv("EMBEDDING_MODEL", "all-MiniLM-L6-v2")
    monkeypatch.setenv("CODE_EMBEDDING_MODEL", "all-MiniLM-L6-v2")
    yield TestClient(application_with_embedwell())


def test_a_note_is_found_by_its_words(client):
    for number, text in enumerate(NOTES, start=1):
        assert client.post("/notes", json={"text": text}).json() == {"notes": number}
    assert client.get("/search", params={"q": "when leaves the ferry"}).json()[0] == NOTES[0]
    assert client.get("/search", params={"q": "bread in warmth"}).json()[0] == NOTES[1]


def test_without_notes_nothing_is_found(client):
    assert client.get("/search", params={"q": "ferry"}).json() == []


def test_a_note_needs_a_text(client):
    assert client.post("/notes", json={}).status_code == 422


@pytest.mark.parametrize("client", ["embedwell"], indirect=True)
def test_text_code_and_both_are_embedded(client):
    wanted = {"text": "def retry(times): ...", "domain": "hybrid"}
    found = client.post("/embed", json=wanted).json()
    assert set(found) == {"text", "code"}
    assert len(found["text"]) == len(found["code"]) == 384
    assert set(client.post("/embed", json={"text": "words"}).json()) == {"text"}
    assert client.post("/embed", json=wanted | {"domain": "both"}).status_code == 422


@pytest.mark.parametrize("client", ["embedwell"], indirect=True)
def test_health_names_the_models_and_their_memory(client):
    client.post("/embed", json={"text": "words"})
    found = client.get("/health").json()
    assert found["models"]["text"] == {"name": "all-MiniLM-L6-v2", "loaded": True}
    assert found["ram"]["process_rss_mb"] > found["ram"]["estimated_models_mb"] > 0
    assert found["ram"]["budget_exceeded"] is False
