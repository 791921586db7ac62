"""Comparing over HTTP."""

from __future__ import annotations

import pytest
from indexes import make_index
from msgspec import structs
from starlette.testclient import TestClient

from embedwell.server.application import application
from embedwell.server.shared.service import Service

DEBUG = "/api/v3/debug/compare-rag-embedding"


@pytest.fixture
def client(tmp_path, runtime):
    notes = make_index(tmp_path / "notes")
    runtime.settings = structs.replace(runtime.settings, indexes=(str(notes),))
    service = Service(runtime.settings, runtime)
    app = application(service)
    with TestClient(app, base_url="http://127.0.0.1:8437") as client:
        yield client
    service.close()


def test_the_comparison_is_that_of_the_command(client):
    answer = client.get("/v1/compare", params={"query": "dough rises", "index": "notes"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["ok"], found["faults"]
    assert found["distances"]["nearest"].startswith("bread.md")
    assert found["space"]["dimensions"] == 384


def test_the_debug_route_has_the_shape_that_tools_read(client):
    found = client.get(DEBUG, params={"query": "dough rises"}).json()
    assert found["success"] is True
    assert found["query"] == "dough rises"
    assert found["backend_embedding_dims"] == len(found["backend_embedding"]) == 384
    assert len(found["stored_embedding"]) == 384
    assert found["processing_time_ms"] > 0
    stats = found["comparison_stats"]
    assert list(stats) == [
        "total_docs",
        "distance_min",
        "distance_max",
        "distance_avg",
        "count_threshold_0.3",
        "count_threshold_0.5",
        "count_threshold_0.7",
        "count_threshold_0.9",
    ]
    assert found["distance"] == stats["distance_min"] <= stats["distance_avg"]


def test_without_a_query_nothing_is_measured_and_no_index_is_404(client):
    assert client.get(DEBUG).json()["success"] is False
    assert client.get("/v1/compare").json()["distances"] is None
    assert client.get("/v1/compare", params={"index": "other"}).status_code == 404
