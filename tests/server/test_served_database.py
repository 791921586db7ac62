"""An index in PostgreSQL, made by one process and searched through the service."""

from __future__ import annotations

import pytest
from msgspec import structs
from starlette.testclient import TestClient

from embedwell.app.config.settings import Settings
from embedwell.app.indexes.index import Index
from embedwell.models.catalogue import card
from embedwell.server.application import application
from embedwell.server.shared.service import Service
from embedwell.stores.protocol import CollectionSettings
from embedwell.stores.registry import create_store
from embedwell.testing import FakeEmbedder


@pytest.fixture
def client(schema, runtime):
    space = card("all-MiniLM-L6-v2").space
    store = create_store(schema, CollectionSettings(space, 60))
    with Index(schema, store, Settings(), connect=lambda *_: FakeEmbedder(space)) as index:
        index.add(["dough rises where it is warm", "the lamp blinks"], ids=["bread", "disk"])
    runtime.settings = structs.replace(runtime.settings, database_url=schema)
    service = Service(runtime.settings, runtime)
    with TestClient(application(service), base_url="http://127.0.0.1:8437") as client:
        yield client
    service.close()


def test_a_database_is_served_by_its_name_and_as_the_only_one(client):
    for asked in ({"index": "database"}, {}):
        answer = client.post("/v1/search", json={"query": "warm dough", "k": 1} | asked)
        assert answer.status_code == 200, answer.text
        assert [hit["path"] for hit in answer.json()["results"]] == ["bread"]


def test_its_status_and_comparison_show_no_password(client):
    status = client.get("/v1/indexes/status").json()
    assert (status["documents"], status["folder"], status["stale"]) == (2, None, None)
    assert "postgres" in status["db"]
    assert client.get("/v1/compare", params={"query": "lamp"}).json()["ok"]
