"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from embedwell.app.configuration import load
from embedwell.app.models import pull_source
from embedwell.core.artifact import Artifact, Quantization
from embedwell.core.errors import ModelUnavailableError
from embedwell.core.events import Watch
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.catalogue import card
from embedwell.models.source import SourceFiles

# Read before a test can change the environment.
REAL = load().settings


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads the settings of whoever runs it, or writes to their caches by accident."""
    for name in list(os.environ):
        if name.startswith("EMBEDWELL_") and name != "EMBEDWELL_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setenv("EMBEDWELL_SERVICE", "off")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-cache"))


@pytest.fixture(scope="session")
def real_source() -> SourceFiles:
    """The published files of the default model; skipped where no mirror can be reached."""
    try:
        return pull_source(REAL, card("all-MiniLM-L6-v2"), Watch())
    except ModelUnavailableError as error:
        pytest.skip(f"the real model cannot be had here: {error}")


@pytest.fixture(scope="session")
def real_artifact(real_source: SourceFiles) -> Callable[[Quantization], Artifact]:
    """The real model at a quantization, made once and kept in the user's cache."""

    def make(quantization: Quantization) -> Artifact:
        return ArtifactStore(REAL.cache).make(real_source, quantization, Watch())

    return make


@pytest.fixture
def real_cache(
    real_artifact: Callable[[Quantization], Artifact], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The user's cache with the real model at q8 in it, set for this test and its processes."""
    real_artifact("q8")
    monkeypatch.setenv("EMBEDWELL_CACHE", str(REAL.cache))
    return REAL.cache


@pytest.fixture(scope="session")
def data() -> Path:
    """Published evaluation data beside the checkout; skipped where it is absent."""
    beside = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    place = Path(os.environ.get("EMBEDWELL_DATA", beside))
    if not place.is_dir():
        pytest.skip(f"no evaluation data at {place}")
    return place
