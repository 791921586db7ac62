"""Vectors between the file and the index in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from embedwell.core.errors import BadVectorError
from embedwell.core.vectors import IntArray, check_vectors
from embedwell.stores.exact import ExactIndex
from embedwell.stores.index import Index
from embedwell.stores.protocol import DocumentChunks
from embedwell.stores.sqlite import statements
from embedwell.stores.sqlite.database import Database, Row


def to_blobs(item: DocumentChunks, dimensions: int) -> list[bytes]:
    """A document's vectors as little-endian float16.

    Raises:
        BadVectorError: A vector is NaN, infinite, zero (also after rounding), of another length,
            or their number is not that of the chunks.
    """
    if len(item.vectors) != len(item.chunks):
        raise BadVectorError(
            f"'{item.document.key}' has {len(item.chunks)} chunks and {len(item.vectors)} vectors.",
            "Give one vector for each chunk.",
        )
    if not len(item.chunks):
        return []
    with np.errstate(over="ignore"):
        half = np.asarray(item.vectors).astype("<f2")
    check_vectors(half.astype(np.float32), dimensions)
    return [row.tobytes() for row in half]


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
        ids = _first_column(rows)
        joined = b"".join(row[1] for row in rows)
        vectors = np.frombuffer(joined, "<f2").reshape(len(rows), self._dimensions)
        if (np.diff(ids) < 0).any():
            order = np.argsort(ids)
            ids, vectors = ids[order], vectors[order]
        index.update(removed, ids, vectors)


def _first_column(rows: Sequence[Row]) -> IntArray:
    return np.fromiter((row[0] for row in rows), np.int64, len(rows))
