"""Every store, for the contract suite: a new one is one more parameter here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from store_samples import SETTINGS

from embedwell.stores.memory import MemoryStore
from embedwell.stores.protocol import Store
from embedwell.stores.registry import create_store
from embedwell.stores.sqlite import SqliteStore


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        made: Store = MemoryStore(SETTINGS)
    else:
        made = create_store(tmp_path / "index.db", SETTINGS)
    yield made
    made.close()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore.create(tmp_path / "index.db", SETTINGS)
    yield made
    made.close()
