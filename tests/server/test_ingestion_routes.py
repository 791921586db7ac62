"""How far the served indexes are, as JSON and for Prometheus; asking changes nothing."""

from __future__ import annotations

import pytest
from running import BROKEN, N_ROWS, finish_run, make_run
from serving import FakeRuntime
from starlette.testclient import TestClient
from test_prometheus import parsed

from embedwell.app.config.settings import Settings
from embedwell.app.indexes import ingestions
from embedwell.server.application import application
from embedwell.server.shared.service import Service


@pytest.fixture
def papers(tmp_path):
    return make_run(tmp_path / "papers")


@pytest.fixture
def ask(papers, tmp_path, monkeypatch):
    """Asks a service that serves the index, a folder that has none, and looks each time."""
    monkeypatch.setattr(ingestions, "_LOOK_S", 0.0)
    settings = Settings(indexes=(str(papers), str(tmp_path / "nothing")))
    served = Service(settings, FakeRuntime(settings))
    with TestClient(application(served), base_url="http://127.0.0.1:8437") as client:
        yield client.get
    served.close()


def test_each_served_index_tells_how_far_it_is_or_why_it_cannot_be_told(ask):
    answer = ask("/v1/ingestion")
    assert answer.headers["cache-control"] == "no-store"
    found, missing = answer.json()["indexes"]
    assert (found["index"], found["error"]) == ("papers", "")
    told = found["ingestion"]
    assert told["state"] == "running"
    assert told["n_rows"] == N_ROWS
    n_of = {count["status"]: count["n"] for count in told["statuses"]}
    assert n_of == {
        "pending": 20,
        "leased": 4,
        "done": 10,
        "failed": 2,
        "skipped": 4,
        "dead": 0,
    }
    assert sum(count["percent"] for count in told["statuses"]) == pytest.approx(100, abs=0.1)
    assert told["eta_s"] > 0
    (failure,) = told["failures"]
    assert (failure["n"], failure["kind"]) == (2, "The PDF is broken …")
    assert failure["error"] == BROKEN.format(failure["example"])
    (worker,) = told["workers"]
    assert (worker["name"], worker["is_alive"], worker["n_done"]) == ("busy", True, 10)
    assert missing["index"] == "nothing"
    assert "no index" in missing["error"]
    assert missing["ingestion"] is None


def test_one_index_can_be_asked_for_and_others_are_not_told_of(ask, papers):
    (found,) = ask("/v1/ingestion", params={"index": "papers"}).json()["indexes"]
    assert found["index"] == "papers"
    assert ask("/v1/ingestion", params={"index": str(papers)}).status_code == 404


def test_prometheus_gets_the_same_as_numbers(ask):
    found = parsed(ask("/metrics").text)
    assert found["embedwell_index_readable"] == {'index="papers"': 1, 'index="nothing"': 0}
    documents = found["embedwell_ingestion_documents"]
    assert documents['index="papers",status="done"'] == 10
    assert documents['index="papers",status="pending"'] == 20
    assert found["embedwell_ingestion_workers"] == {'index="papers"': 1}
    assert found["embedwell_ingestion_documents_per_second"]['index="papers"'] > 0
    assert found["embedwell_ingestion_chunks_per_second"]['index="papers"'] > 0
    assert found["embedwell_ingestion_left_seconds"]['index="papers"'] > 0
    kinds = found["embedwell_ingestion_failures"]
    assert kinds == {'index="papers",kind="The PDF is broken …"': 2}
    states = found["embedwell_ingestion_run_state"]
    assert states['index="papers",state="running"'] == 1
    assert sum(states.values()) == 1


def test_a_run_that_ended_is_told_as_done(ask, papers):
    finish_run(papers)
    told = ask("/v1/ingestion").json()["indexes"][0]["ingestion"]
    assert (told["state"], told["eta_s"]) == ("done", 0.0)
    assert told["lately"]["documents"] == 0


def test_two_indexes_of_one_name_leave_the_other_metrics_alone(tmp_path):
    settings = Settings(indexes=(str(tmp_path / "a" / "docs"), str(tmp_path / "b" / "docs")))
    served = Service(settings, FakeRuntime(settings))
    with TestClient(application(served), base_url="http://127.0.0.1:8437") as client:
        assert "embedwell_uptime_seconds" in client.get("/metrics").text
        assert client.get("/v1/ingestion").status_code == 400
    served.close()
