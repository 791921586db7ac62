"""Vectors between the file and the index in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from embedwell.core.vectors import IntArray
from embedwell.stores.exact import ExactIndex
from embedwell.stores.index import Index
from embedwell.stores.sqlite import statements
from embedwell.stores.sqlite.database import Database, Row


class LoadedVectors:
    """The index in memory, brought up to date before it is used."""

    def __init__(self, database: Database, space: int, dimensions: int) -> None:
        self._database = database
        self._space = space
        self._dimensions = dimensions
        self._index: Index | None = None
        self._version: int | None = None

    def outdated(self) -> None:
        """This connection wrote (another's writes show in `data_version`)."""
        self._version = None

    def index(self) -> Index:
        """The index as of now: loaded at first, then only what changed."""
        version: int = self._database.value(statements.DATA_VERSION)
        if self._index is None:
            self._index = ExactIndex(self._dimensions)
            self._load_all(self._index)
        elif version != self._version:
            self._follow(self._index)
        self._version = version
        return self._index

    def _load_all(self, index: Index) -> None:
        rows = self._database.rows(statements.ALL_VECTORS, (self._space,))
        self._add(index, rows, np.empty(0, np.int64))

    def _follow(self, index: Index) -> None:
        """Ids are never reused and vectors never change, so comparing ids finds every change."""
        rows = self._database.rows(statements.VECTOR_IDS, (self._space,))
        current = _first_column(rows)
        removed = np.setdiff1d(index.ids, current, assume_unique=True)
        added = np.setdiff1d(current, index.ids, assume_unique=True)
        parameters = (json.dumps(added.tolist()), self._space)
        self._add(index, self._database.rows(statements.VECTORS, parameters), removed)

    def _add(self, index: Index, rows: Sequence[Row], removed: IntArray) -> None:
        """Rows as they lie in the file, which is nearly always in the order of their chunks."""
        ids = _first_column(rows)
        joined = b"".join(row[1] for row in rows)
        vectors = np.frombuffer(joined, "<f2").reshape(len(rows), self._dimensions)
        if (np.diff(ids) < 0).any():
            order = np.argsort(ids)
            ids, vectors = ids[order], vectors[order]
        index.update(removed, ids, vectors)


def _first_column(rows: Sequence[Row]) -> IntArray:
    return np.fromiter((row[0] for row in rows), np.int64, len(rows))
