"""An index of text and code, served: what is told of it names both models."""

from __future__ import annotations

import pytest
from indexes import make_index
from msgspec import structs
from serving import MODEL
from starlette.testclient import TestClient

from embedwell.server.application import application
from embedwell.server.shared.service import Service

CODE_MODEL = "all-mpnet-base-v2"


@pytest.fixture
def client(tmp_path, runtime):
    notes = make_index(tmp_path / "notes", CODE_MODEL)
    runtime.settings = structs.replace(runtime.settings, indexes=(str(notes),))
    service = Service(runtime.settings, runtime)
    app = application(service)
    with TestClient(app, base_url="http://127.0.0.1:8437") as client:
        yield client
    service.close()


def test_monitoring_names_the_models_of_indexes_not_only_of_the_settings(client):
    def told():
        return client.get("/v1/monitoring/embeddings").json()

    assert told()["indexes"] == []
    answer = client.post("/v1/search", json={"query": "call again", "kind": "code"})
    assert answer.json()["results"][0]["path"] == "retry.py"
    found = told()
    (index,) = found["indexes"]
    assert index["index"] == "notes"
    assert index["text"] == {"name": MODEL, "loaded": False}
    assert index["code"] == {"name": CODE_MODEL, "loaded": True}
    assert found["models"]["code"] == {"name": MODEL, "loaded": False}


def test_the_code_model_of_an_index_counts_as_one(client, runtime):
    client.post("/v1/search", json={"query": "call again"})
    assert runtime._code_models == {CODE_MODEL}


def test_both_spaces_are_compared(client):
    found = client.get("/v1/compare", params={"query": "call again"}).json()
    assert found["space"]["model"] == MODEL
    assert found["code"]["space"]["model"] == CODE_MODEL
    assert found["code"]["distances"]["nearest"].startswith("retry.py")
    assert found["ok"] is found["code"]["ok"] is True


def test_what_is_answered_is_as_it_is_described(client):
    found = client.post("/v1/search", json={"query": "call again"}).json()
    spaces = client.get("/v1/indexes/status").json()["spaces"]
    assert len(found["spaces"]) == 2
    assert [one["holds"] for one in spaces] == [["text"], ["code"]]
    described = client.get("/openapi.json").json()["components"]["schemas"]
    assert found.keys() <= described["SearchAnswer"]["properties"].keys()
    assert spaces[0].keys() == described["SpaceState"]["properties"].keys()
