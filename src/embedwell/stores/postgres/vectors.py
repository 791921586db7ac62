"""Vector search by pgvector, and the form that vectors have on the wire."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.index import best
from embedwell.stores.postgres import statements
from embedwell.stores.postgres.database import Database, Row
from embedwell.stores.postgres.filters import Conditions
from embedwell.stores.postgres.statements import of_space
from embedwell.stores.values import Scored
from embedwell.stores.vectors import cosines

FEW_ALLOWED = 2_000
"""Up to so many chunks that a filter lets through are compared one by one."""
LEAST_EF_SEARCH, MOST_EF_SEARCH = 200, 1_000
"""Candidates that HNSW keeps. pgvector's own 40 finds 95 %; see docs/postgres.md."""
ROWS_PER_CANDIDATE = 500
ESTIMATE_S = 60.0
"""Seconds for which an estimate of a table's rows is good enough."""

# The server compares with the question rounded to float16; the order of the best is decided by
# exact scores of some more.
_SPARE = 10

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_HEAD_BYTES = 4  # of a halfvec: dimensions and a reserve, two bytes each


class Vectors:
    """The vectors of one database, space by space."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._estimates: dict[int, tuple[float, int]] = {}

    def nearest(self, number: int, unit: FloatArray, k: int, where: Conditions) -> Scored:
        """The k chunks of a space with the highest cosine that a filter lets through.

        Called inside a snapshot.

        Args:
            number: The space.
            unit: float32, shape (d,), length 1.
            k: How many.
            where: The filter.
        """
        n = max(k, 0) + max(k, 0) // 10 + _SPARE
        values = {**where.values, "query": literal(unit), "n": n}
        if not where.text:
            self._set_candidates(ef_search(self._n_estimated(number)))
            rows = self._database.rows(of_space(statements.NEAREST, number), values)
        else:
            rows = self._nearest_allowed(number, where.text, values, n)
        ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        return best(ids, cosines(unit, decoded(rows, len(unit))), k)

    def _nearest_allowed(
        self, number: int, text: str, values: dict[str, object], n: int
    ) -> list[Row]:
        def filled(statement: str) -> str:
            return of_space(statement.replace("{conditions}", text), number)

        counted = {**values, "n": max(FEW_ALLOWED, n) + 1}
        n_allowed = self._database.value(filled(statements.N_ALLOWED), counted)
        if n_allowed > max(FEW_ALLOWED, n):
            # The walk ends with the n-th row that passes, among fewer that were looked at.
            self._set_candidates(2 * ef_search(self._n_estimated(number)))
            rows = self._database.rows(filled(statements.NEAREST_OF_MANY), values)
            if len(rows) == n:
                return rows
        return self._database.rows(filled(statements.NEAREST_OF_FEW), values)

    def _set_candidates(self, n: int) -> None:
        if n != LEAST_EF_SEARCH:
            self._database.rows(statements.EF_SEARCH, (str(min(n, MOST_EF_SEARCH)),))

    def stored(self, number: int, ids: IntArray, dimensions: int) -> FloatArray:
        """Vectors as they are stored: float32, shape (len(ids), d); a NaN row for none."""
        wanted = np.asarray(ids, np.int64)
        rows = self._database.rows(of_space(statements.VECTORS, number), (wanted.tolist(),))
        at = {row[0]: place for place, row in enumerate(rows)}
        found = decoded(rows, dimensions)
        vectors = np.full((len(wanted), dimensions), np.nan, np.float32)
        for place, chunk in enumerate(wanted.tolist()):
            if chunk in at:
                vectors[place] = found[at[chunk]]
        return vectors

    def add(self, number: int, ids: IntArray, halves: npt.NDArray[np.float16]) -> None:
        """Store vectors of chunks that have none."""
        statement = of_space(statements.COPY_VECTORS, number)
        self._database.copy_bytes(statement, encoded(ids, halves))

    def _n_estimated(self, number: int) -> int:
        """About how many vectors a space has, as the server last counted them."""
        read_at, n_rows = self._estimates.get(number, (-ESTIMATE_S, 0))
        if time.monotonic() - read_at > ESTIMATE_S:
            n_rows = self._database.value(of_space(statements.N_ESTIMATED, number))
            self._estimates[number] = time.monotonic(), n_rows
        return n_rows


def ef_search(n_rows: int) -> int:
    """How many candidates HNSW keeps, for a recall of 0.99 among the best 10."""
    return min(max(n_rows // ROWS_PER_CANDIDATE, LEAST_EF_SEARCH), MOST_EF_SEARCH)


def literal(vector: FloatArray) -> str:
    """A vector as pgvector reads it."""
    return str(vector.tolist())


def encoded(ids: IntArray, halves: npt.NDArray[np.float16]) -> bytes:
    """Rows (chunk, vector) for a binary COPY: big-endian, each value after its length."""
    dimensions = halves.shape[1]
    rows = np.empty(
        len(ids),
        [
            ("n_values", ">i2"),
            ("chunk_bytes", ">i4"),
            ("chunk", ">i8"),
            ("vector_bytes", ">i4"),
            ("dimensions", ">i2"),
            ("reserve", ">i2"),
            ("vector", ">f2", (dimensions,)),
        ],
    )
    rows["n_values"], rows["chunk_bytes"], rows["chunk"] = 2, 8, ids
    rows["vector_bytes"] = _HEAD_BYTES + 2 * dimensions
    rows["dimensions"], rows["reserve"], rows["vector"] = dimensions, 0, halves
    return _SIGNATURE + rows.tobytes() + _TRAILER


def decoded(rows: Sequence[Row], dimensions: int) -> FloatArray:
    """The vectors of rows (…, vector) as they came: float32, shape (len(rows), d)."""
    joined = b"".join(row[1][_HEAD_BYTES:] for row in rows)
    return np.frombuffer(joined, ">f2").reshape(len(rows), dimensions).astype(np.float32)
