"""Every store, for the contract suite: a new one is one more parameter here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_samples import SETTINGS

from embedwell.stores.memory import MemoryStore
from embedwell.stores.protocol import Store
from embedwell.stores.registry import create_store
from embedwell.stores.sqlite import SqliteStore

_numbers = itertools.count()


@pytest.fixture(params=["sqlite", "memory", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        made: Store = MemoryStore(SETTINGS)
    elif request.param == "postgres":
        made = create_store(request.getfixturevalue("schema"), SETTINGS)
    else:
        made = create_store(tmp_path / "index.db", SETTINGS)
    yield made
    made.close()


@pytest.fixture
def schema(postgres_server: str) -> Iterator[str]:
    """Address of a PostgreSQL database with a schema that is not there yet."""
    import psycopg

    name = f"test_{next(_numbers)}"
    yield f"{postgres_server}&embedwell_schema={name}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore.create(tmp_path / "index.db", SETTINGS)
    yield made
    made.close()
