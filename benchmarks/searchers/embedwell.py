"""embedwell's SQLite store, through the interface that the product itself uses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.searchers import GROUPS, TOGETHER
from embedwell.models.catalogue import card
from embedwell.stores.protocol import (
    CollectionSettings,
    Document,
    DocumentChunks,
    Filter,
    StoredChunk,
)
from embedwell.stores.registry import create_store, open_store

BATCH = 200  # documents in a transaction


def build(folder: Path) -> None:
    rows = np.load(folder / "rows.npy", mmap_mode="r")
    groups = np.load(folder / "groups.npy")
    for old in folder.glob("embedwell.db*"):
        old.unlink()
    space = replace(card("all-MiniLM-L6-v2").space, dimensions=rows.shape[1])
    store = create_store(str(folder / "embedwell.db"), CollectionSettings(space, 256))
    for documents in in_documents(rows, groups, np.arange(len(rows))):
        store.put(documents)
    store.close()


class Searcher:
    filters = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = open_store(str(folder / "embedwell.db"))
        self._where = {GROUPS: Filter(), 10: Filter(path="0*/*"), 1: Filter(path="00/*")}

    def search(self, question, k, below):
        return self._store.nearest(question, k, self._where[below]).ids

    def rows(self, ids):
        found = self._store.chunks([int(number) for number in ids])
        return [int(chunk.chunk.text) for chunk in found]

    def update(self):
        """Rows that replace others are numbered after all that were there."""
        from benchmarks.realistic import changes

        rows = np.load(self._folder / "rows.npy", mmap_mode="r")
        groups = np.load(self._folder / "groups.npy")
        replaced, removed = changes(len(rows))
        new = np.load(self._folder / "new.npy", mmap_mode="r")
        numbers = len(rows) + np.arange(len(replaced))
        for documents in in_documents(new, groups[replaced], numbers, replaced // TOGETHER):
            self._store.put(documents)
        self._store.delete(
            [_key(groups[row], row // TOGETHER) for row in removed[::TOGETHER].tolist()]
        )

    def close(self):
        self._store.close()


def in_documents(rows, groups, numbers, names=None) -> Iterator[list[DocumentChunks]]:
    """Rows in documents, each chunk's text being the row's number."""
    batch = []
    for start in range(0, len(numbers), TOGETHER):
        some = slice(start, start + TOGETHER)
        name = int(numbers[start]) // TOGETHER if names is None else int(names[start])
        chunks = [_chunk(str(number)) for number in numbers[some].tolist()]
        document = Document(_key(groups[start], name), 1, 0, "0" * 64, "text", "")
        batch.append(DocumentChunks(document, chunks, rows[some].astype(np.float32)))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _key(group, name) -> str:
    return f"{group:02}/{name}"


def _chunk(text: str) -> StoredChunk:
    return StoredChunk(0, 1, 1, 1, "", text, hashlib.sha256(text.encode()).hexdigest())
