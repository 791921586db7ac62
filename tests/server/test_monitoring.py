"""What the service says of itself is true, and asking for it wakes nothing."""

from __future__ import annotations

import logging
import time
from itertools import pairwise

import msgspec
import pytest
from serving import MODEL
from starlette.testclient import TestClient
from watching import TellingRuntime

from embedwell.app.config.settings import Settings
from embedwell.app.embedding.domains import by_domain
from embedwell.core.errors import CodeMemoryError
from embedwell.core.events import Watch
from embedwell.models.known import Known
from embedwell.server.about.monitoring import quantile, report, samples
from embedwell.server.application import application
from embedwell.server.shared.monitor import Observation, warns
from embedwell.server.shared.refusals import refusal
from embedwell.server.shared.service import Service

ADDRESS = "/v1/monitoring/embeddings"


@pytest.fixture
def client_of():
    opened = []

    def make(runtime: TellingRuntime) -> tuple[TestClient, Service]:
        served = Service(runtime.settings, runtime)
        opened.append(served)
        return TestClient(application(served), base_url="http://127.0.0.1:8437"), served

    yield make
    for served in opened:
        served.close()


def test_it_says_which_models_are_loaded_and_loads_none(client_of):
    runtime = TellingRuntime()
    client, _ = client_of(runtime)
    for path in (ADDRESS, "/v1/monitoring/history", "/metrics"):
        assert client.get(path).status_code == 200
    assert runtime.held == {}
    found = client.get(ADDRESS).json()
    assert found["models"]["text"] == {"name": MODEL, "loaded": False}
    assert set(found["models"]) == {"text", "code"}
    assert set(found["models"]["code"]) == {"name", "loaded"}
    assert found["ram"]["estimated_models_mb"] == 0
    assert found["ram"]["budget_exceeded"] is False
    assert found["ram"]["process_rss_mb"] > 1
    runtime.load(MODEL, Watch())
    found = client.get(ADDRESS).json()
    assert found["models"]["text"] == {"name": MODEL, "loaded": True}
    assert found["ram"]["estimated_models_mb"] == 23.0
    assert found["runtime"][0]["unloads_in_s"] == 90.0
    assert found["requests"]["total"] == 4


def test_code_has_its_own_model_where_the_settings_name_one(tmp_path):
    known = Known(tmp_path)
    alone = Settings(cache=tmp_path, model=f"{MODEL}@q8")
    assert by_domain(known, alone, [])["code"].name == MODEL
    pair = Settings(cache=tmp_path, model="auto", code_model="all-mpnet-base-v2")
    assert by_domain(known, pair, [])["text"].name == MODEL
    assert by_domain(known, pair, [])["code"].name == "all-mpnet-base-v2"
    unseen = Settings(cache=tmp_path, code_model="hf:nobody/nothing")
    assert by_domain(known, unseen, [])["code"].name == "hf:nobody/nothing"


@pytest.mark.parametrize(
    ("marks_mb", "n_warnings", "is_exceeded"),
    [
        pytest.param((900, 1024), 0, False, id="below-both"),
        pytest.param((20, 1024), 1, False, id="above-the-warning"),
        pytest.param((20, 22), 1, True, id="above-both"),
        pytest.param((23, 23), 0, False, id="at-both"),
    ],
)
def test_too_much_memory_is_said_and_logged_once_a_minute(
    client_of, caplog, marks_mb, n_warnings, is_exceeded
):
    settings = Settings(memory_warning_mb=marks_mb[0], memory_limit_mb=marks_mb[1])
    runtime = TellingRuntime(settings)
    client, served = client_of(runtime)
    runtime.load(MODEL, Watch())
    with caplog.at_level(logging.WARNING):
        served.monitor.sample()
        ram = client.get(ADDRESS).json()["ram"]
    assert ram["budget_exceeded"] is is_exceeded
    told = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert len(told) == n_warnings
    for fields in told:
        msgspec.json.encode(fields)
        assert fields["estimated_models_mb"] == 23.0
        assert fields["budget_exceeded"] is is_exceeded


def test_a_warning_is_repeated_after_a_minute():
    assert warns(901, 900, None, 5.0)
    assert not warns(901, 900, 5.0, 64.0)
    assert warns(901, 900, 5.0, 65.0)
    assert not warns(900, 900, None, 5.0)


def test_the_history_holds_ten_minutes_and_no_more(client_of, monkeypatch):
    client, served = client_of(TellingRuntime())
    clock = [1000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    for _ in range(700):
        served.monitor.sample()
        clock[0] += 1.0
    found = client.get("/v1/monitoring/history").json()
    times = [sample[0] for sample in found["samples"]]
    assert len(times) == 301, "and this moment"
    assert times[-1] == clock[0]
    assert {later - before for before, later in pairwise(times[:-1])} == {2.0}
    assert found["budget_bytes"] > 0


def test_the_rate_is_that_of_the_last_seconds(client_of, monkeypatch):
    client, served = client_of(TellingRuntime())
    clock = [served.monitor.started_at + 100]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    seen = Observation("POST", "/v1/embed", 200, 0.125)
    for n_requests in (500, 0, 10, 10, 10, 10, 10):
        for _ in range(n_requests):
            served.monitor.answered(seen)
        served.monitor.sample()
        clock[0] += 2.0
    requests = client.get(ADDRESS).json()["requests"]
    assert requests["total"] == 550
    assert 4.0 <= requests["per_second"] <= 5.5
    assert requests["p50_s"] == requests["p95_s"] == 0.125


def test_streams_say_nothing_about_latency(client_of):
    _, served = client_of(TellingRuntime())
    served.monitor.answered(Observation("GET", "/v1/events", 200, 500.0))
    served.monitor.answered(Observation("GET", "/health", 200, 0.5))
    names = {s.metric.name + s.suffix: s.value for s in samples(served)}
    assert names["request_duration_seconds_count"] == 1
    assert report(served).requests.p50_s is None


def test_quantiles():
    assert quantile([], 0.5) is None
    assert quantile([1.0], 0.95) == 1.0
    assert quantile([float(n) for n in range(100)], 0.95) == 95.0


def test_a_code_model_that_is_not_loaded_for_memory_is_told_by_name():
    answer = refusal(CodeMemoryError("The code model is not loaded: 950 MB.", "Raise it."))
    assert answer.status_code == 503
    assert msgspec.json.decode(answer.body)["error"]["type"] == "CodeMemoryError"
