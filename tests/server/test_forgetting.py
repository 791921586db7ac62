"""Kept vectors are forgotten as asked, and their numbers told."""

from __future__ import annotations

import numpy as np
import pytest
from starlette.testclient import TestClient
from watching import TellingRuntime

from embedwell.app.config.settings import Settings
from embedwell.runtime.cache import Origin
from embedwell.server.about.monitoring import report, samples
from embedwell.server.application import application
from embedwell.server.shared.service import Service
from embedwell.testing import FAKE_BUILD

ADDRESS = "/v1/runtime/cache"
TEXTS = ["a b", "a c", "d"]


@pytest.fixture
def runtime():
    runtime = TellingRuntime()
    vectors, n_tokens = np.ones((3, 4), np.float32), np.ones(3, np.int64)
    for space in ("one", "two"):
        origin = Origin(space, "build", "document")
        runtime.cache.keep(origin, TEXTS, vectors, n_tokens, FAKE_BUILD, epoch=runtime.cache.epoch)
    runtime.cache.find(Origin("one", "build", "document"), ["a b", "unknown"])
    return runtime


@pytest.fixture
def client(runtime):
    served = Service(runtime.settings, runtime)
    yield TestClient(application(served), base_url="http://127.0.0.1:8437")
    served.close()


@pytest.mark.parametrize(
    ("named", "n_forgotten"),
    [
        pytest.param({}, 6, id="all"),
        pytest.param({"text": "a b"}, 2, id="one-text"),
        pytest.param({"space": "two"}, 3, id="one-space"),
        pytest.param({"space": "two", "prefix": "a "}, 2, id="both"),
        pytest.param({"text": "never seen"}, 0, id="nothing"),
    ],
)
def test_it_forgets_what_fits_all_that_is_named(client, runtime, named, n_forgotten):
    assert client.delete(ADDRESS, params=named).json() == {"forgotten": n_forgotten}
    assert runtime.cache.statistics().entries == 6 - n_forgotten


def test_a_misspelt_name_forgets_nothing(client, runtime):
    answer = client.delete(ADDRESS, params={"prefx": "a"})
    assert answer.status_code == 400
    assert "prefx" in answer.json()["error"]["problem"]
    assert runtime.cache.statistics().entries == 6


def test_the_numbers_are_told(client):
    found = client.get("/v1/monitoring/embeddings").json()["cache"]
    assert (found["hits"], found["misses"], found["entries"]) == (1, 1, 6)
    assert (found["most_entries"], found["most_bytes"]) == (1000, 8 << 20)
    text = client.get("/metrics").text
    assert "embedwell_cache_hits_total 1\n" in text
    assert f"embedwell_cache_bytes {found['bytes']}\n" in text


def test_without_a_cache_there_are_no_numbers():
    runtime = TellingRuntime(Settings(vector_cache_entries=0))
    served = Service(runtime.settings, runtime)
    assert report(served).cache is None
    assert not [s for s in samples(served) if s.metric.name.startswith("cache")]
    served.close()
