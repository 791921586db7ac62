"""One real service for all tests of it, and a fake one in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import FakeRuntime, RunningService, free_port, serving, short_folder
from starlette.testclient import TestClient

from embedwell.app.config.configuration import load
from embedwell.app.config.settings import Settings
from embedwell.server.application import application
from embedwell.server.shared.service import Service

# Read before a test can change the environment.
CACHE = load().settings.cache


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path leaves room for a Unix socket's."""
    with short_folder() as place:
        yield place


@pytest.fixture(scope="session")
def service(real_artifact) -> Iterator[RunningService]:
    """A real service with the real model, shared by all tests: leave it as it was found."""
    real_artifact("q8")
    with short_folder() as place:
        settings = Settings(cache=CACHE, socket=place / "s", port=free_port(), threads=1)
        with serving(settings) as running:
            yield running


@pytest.fixture
def runtime() -> FakeRuntime:
    """The runtime behind `fake_service`."""
    return FakeRuntime()


@pytest.fixture
def fake_service(runtime) -> Iterator[TestClient]:
    """The whole application over a fake runtime, asked over what it takes for TCP."""
    served = Service(runtime.settings, runtime)
    with TestClient(application(served), base_url="http://127.0.0.1:8437") as client:
        yield client
    served.close()
