"""Vectors between the file and the index in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.exact import ExactIndex
from embedwell.stores.index import Index
from embedwell.stores.sqlite import statements
from embedwell.stores.sqlite.database import Database, Row
from embedwell.stores.sqlite.statements import of_space
from embedwell.stores.values import Scored


def open_index(database: Database, space: int, dimensions: int) -> Index:
    """An index over the vectors of one space; nothing is loaded yet."""
    return LoadedVectors(database, space, dimensions)


class LoadedVectors:
    """`Index` with every vector in memory."""

    kind = "exact"

    def __init__(self, database: Database, space: int, dimensions: int) -> None:
        self._database = database
        self._space = space
        self._dimensions = dimensions
        self._exact = ExactIndex(dimensions)
        self._ids: IntArray = np.empty(0, np.int64)
        self._version: object = None

    def follow(self) -> None:
        """Ids are never reused and vectors never change, so comparing ids finds every change."""
        version = self._database.version
        if version == self._version:
            return
        current = _first_column(self._database.rows(of_space(statements.VECTOR_IDS, self._space)))
        added = np.setdiff1d(current, self._ids, assume_unique=True)
        if len(self._ids) and len(added) and added[0] < self._ids[-1]:
            self._exact, self._ids = ExactIndex(self._dimensions), added[:0]
            added = current
        self._exact.remove(np.setdiff1d(self._ids, current, assume_unique=True))
        statement = of_space(statements.VECTORS, self._space)
        rows = self._database.rows(statement, (json.dumps(added.tolist()),))
        joined = b"".join(row[1] for row in rows)
        halves = np.frombuffer(joined, "<f2").reshape(len(rows), self._dimensions)
        self._exact.append(added, halves)
        self._ids, self._version = current, version

    def nearest(self, vector: FloatArray, k: int, allowed: IntArray | None) -> Scored:
        """The k highest cosines; see `Index`."""
        return self._exact.nearest(vector, k, allowed)


def _first_column(rows: Sequence[Row]) -> IntArray:
    return np.fromiter((row[0] for row in rows), np.int64, len(rows))
