"""Kept vectors are forgotten as asked, and their numbers told."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from starlette.testclient import TestClient
from watching import TellingRuntime

from embedwell.server.application import application
from embedwell.server.service import Service

ADDRESS = "/v1/runtime/cache"


@dataclass(frozen=True)
class Statistics:
    hits: int = 3
    misses: int = 1
    entries: int = 1
    bytes: int = 1600
    evictions: int = 2


@dataclass
class Cache:
    """Remembers what it was asked to forget."""

    asked: list[dict[str, str]] = field(default_factory=list)

    def statistics(self) -> Statistics:
        return Statistics()

    def invalidate(self, **named: str) -> int:
        self.asked.append(named)
        return 7


@pytest.fixture
def runtime():
    runtime = TellingRuntime()
    runtime.cache = Cache()
    return runtime


@pytest.fixture
def client(runtime):
    served = Service(runtime.settings, runtime)
    yield TestClient(application(served), base_url="http://127.0.0.1:8437")
    served.close()


@pytest.mark.parametrize(
    "named", [{}, {"text": "a b"}, {"space": "ab12", "prefix": "x"}], ids=["all", "text", "two"]
)
def test_it_forgets_what_fits_all_that_is_named(client, runtime, named):
    assert client.delete(ADDRESS, params=named).json() == {"forgotten": 7}
    assert runtime.cache.asked == [named]


def test_a_misspelt_name_forgets_nothing(client, runtime):
    answer = client.delete(ADDRESS, params={"prefx": "a"})
    assert answer.status_code == 400
    assert "prefx" in answer.json()["error"]["problem"]
    assert runtime.cache.asked == []


def test_the_numbers_are_told(client):
    found = client.get("/v1/monitoring/embeddings").json()["cache"]
    assert found["hits"] == 3
    assert found["most_entries"] == 1000
    assert found["most_bytes"] == 8 << 20
    assert "embedwell_cache_evictions_total 2\n" in client.get("/metrics").text
