"""embedwell's PostgreSQL store, over the server that comes in a wheel."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg

from benchmarks.searchers import GROUPS, embedwell
from embedwell.core.events import Watch
from embedwell.models.catalogue import card
from embedwell.stores.postgres.embedded import address_of
from embedwell.stores.postgres.store import PostgresStore
from embedwell.stores.protocol import CollectionSettings, Filter


def target(folder: Path) -> str:
    return f"postgres-embedded:{folder / 'embedwell-postgres'}"


def build(folder: Path) -> dict[str, float]:
    """Load without the index, then build it; seconds of both, and bytes."""
    rows = np.load(folder / "rows.npy", mmap_mode="r")
    groups = np.load(folder / "groups.npy")
    with psycopg.connect(address_of(target(folder)).conninfo, autocommit=True) as database:
        database.execute("DROP SCHEMA IF EXISTS embedwell CASCADE")
    space = replace(card("all-MiniLM-L6-v2").space, dimensions=rows.shape[1])
    store = PostgresStore.create(target(folder), CollectionSettings(space, 256))
    began = time.perf_counter()
    with store.writing():  # a long job leaves the index for its end
        for documents in embedwell.in_documents(rows, groups, np.arange(len(rows))):
            store.put(documents)
    loaded = time.perf_counter()
    store.tend_index(0, Watch())
    found = {"load_s": loaded - began, "index_s": time.perf_counter() - loaded}
    found["size_mb"] = store.counts().size_bytes / 1e6
    store.close()
    return found


class Searcher(embedwell.Searcher):
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = PostgresStore.open(target(folder))
        self._where = {GROUPS: Filter(), 10: Filter(path="0*/*"), 1: Filter(path="00/*")}
