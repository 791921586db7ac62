"""Every store, for the contract suite: a new one is one more parameter here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_samples import SETTINGS

from embedwell.stores.memory import MemoryStore
from embedwell.stores.protocol import Store
from embedwell.stores.registry import create_store
from embedwell.stores.sqlite import SqliteStore, vectors


@pytest.fixture(
    params=["sqlite", "sqlite codes", "sqlite exact", "sqlite vec", "memory", "postgres"]
)
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    if request.param == "memory":
        made: Store = MemoryStore(SETTINGS)
    elif request.param == "postgres":
        made = create_store(request.getfixturevalue("schema"), SETTINGS)
    else:
        name = request.param.partition(" ")[2]
        if name == "codes":  # from the first row on, not only where there are many
            monkeypatch.setattr(vectors, "EXACT_ROWS", 0)
        index = "sqlite-vec" if name == "vec" else name or "auto"
        if name == "vec" and not hasattr(sqlite3.Connection, "enable_load_extension"):
            pytest.skip("this Python's sqlite3 loads no extensions")
        made = create_store(tmp_path / "index.db", SETTINGS, index=index)
    yield made
    made.close()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore.create(tmp_path / "index.db", SETTINGS)
    yield made
    made.close()
