"""Every store, for the contract suite: a new one is one more parameter here."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from store_samples import PAIR, SETTINGS

from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.protocol import CollectionSettings, Store
from embedwell.stores.registry import create_store
from embedwell.stores.sqlite import SqliteStore, vectors


@pytest.fixture(
    params=["sqlite", "sqlite codes", "sqlite exact", "sqlite vec", "memory", "postgres"]
)
def make(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[CollectionSettings], Store]:
    """Makes a store of one kind."""
    if request.param == "memory":
        return MemoryStore
    if request.param == "postgres":
        schema = request.getfixturevalue("schema")
        return lambda settings: create_store(schema, settings)
    name = request.param.partition(" ")[2]
    if name == "codes":  # from the first row on, not only where there are many
        monkeypatch.setattr(vectors, "EXACT_ROWS", 0)
    index = "sqlite-vec" if name == "vec" else name or "auto"
    if name == "vec" and not hasattr(sqlite3.Connection, "enable_load_extension"):
        pytest.skip("this Python's sqlite3 loads no extensions")
    return lambda settings: create_store(tmp_path / "index.db", settings, index=index)


@pytest.fixture
def store(make: Callable[[CollectionSettings], Store]) -> Iterator[Store]:
    made = make(SETTINGS)
    yield made
    made.close()


@pytest.fixture
def pair(make: Callable[[CollectionSettings], Store]) -> Iterator[Store]:
    """A store of a split pair."""
    made = make(PAIR)
    yield made
    made.close()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore.create(tmp_path / "index.db", SETTINGS)
    yield made
    made.close()
