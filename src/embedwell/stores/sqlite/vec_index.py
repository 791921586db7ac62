"""The index inside the file: a `vec0` table of the sqlite-vec extension for each space.

Its rows are float32 and brought up to date together with the vectors; `vec_tables` says what they
have seen, since a process without the extension may write too. While they are behind, and for
whoever cannot write, the index in memory answers.
"""

from __future__ import annotations

import json

import numpy as np

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.index import best
from embedwell.stores.scan.exact import cosines
from embedwell.stores.sqlite import segments, statements
from embedwell.stores.sqlite.database import Database
from embedwell.stores.sqlite.memory_index import MemoryIndex
from embedwell.stores.sqlite.statements import of_space
from embedwell.stores.values import Scored

MOST_K = 4_096
"""What the extension gives at most."""
STEP = 16_384
"""Vectors that are copied in one transaction: half a second, and short writes wait for five."""
_SPARE = 16  # asked for beyond k, for ties at the end
_TIE = 1e-5  # in distance: what float32 sums of unit vectors may differ by


class VecIndex:
    """`Index` by sqlite-vec: exact, in hardly any memory, slower than codes.

    Args:
        version: The extension's.
        database: The open file, with the extension loaded.
        space: Number of the space.
        dimensions: d.
        memory: Answers while the table is behind.
    """

    def __init__(
        self, version: str, database: Database, space: int, dimensions: int, memory: MemoryIndex
    ) -> None:
        self.kind = f"sqlite-vec {version}"
        self._database = database
        self._space = space
        self._dimensions = dimensions
        self._memory = memory
        self._is_current = False

    def follow(self) -> None:
        """See whether the table is up to date; else load what answers instead."""
        self._is_current = not is_behind(self._database, self._space)
        if not self._is_current:
            self._memory.follow()

    def nearest(self, vector: FloatArray, k: int, allowed: IntArray | None) -> Scored:
        """The k highest cosines; see `Index`."""
        if not self._is_current:
            return self._memory.nearest(vector, k, allowed)
        if k + _SPARE > MOST_K:
            self._memory.follow()
            return self._memory.nearest(vector, k, allowed)
        ids = np.sort(self._near(vector, k, allowed))
        return best(ids, cosines(self._memory.fetch(ids), vector), k)

    def _near(self, vector: FloatArray, k: int, allowed: IntArray | None) -> IntArray:
        """Ids of the k nearest, and of all that may be as near as the last of them."""
        statement = of_space(statements.VEC_NEAREST, self._space)
        given: list[object] = [vector.astype("<f4").tobytes()]
        if allowed is not None:
            statement = of_space(statements.VEC_NEAREST_AMONG, self._space)
            given.append(json.dumps(allowed.tolist()))
        n = k + _SPARE
        while True:
            rows = self._database.rows(statement, (*given, n))
            all_found = len(rows) < n or n == MOST_K
            if all_found or rows[-1][1] > rows[k - 1][1] + _TIE:
                return segments.first_column(rows)
            n = min(4 * n, MOST_K)


def is_behind(database: Database, space: int) -> bool:
    """Whether the table of a space lacks something; inside a snapshot."""
    behind = database.value(of_space(statements.VEC_BEHIND, space), (space, space, space))
    return behind is None or bool(behind)


def keep_up(database: Database, space: int, dimensions: int) -> None:
    """Bring the table on by at most `STEP` vectors; inside a write transaction."""
    rows = database.rows(statements.VEC_SEEN, (space,))
    last, removed, generation = rows[0] if rows else (segments.BEFORE_ALL, 0, -1)
    if not rows:
        create = statements.CREATE_VEC.format(space=space, dimensions=dimensions)
        database.rows(create)
    now: int = database.value(statements.GENERATION, (space,))
    if generation == now:
        gone, removed = segments.removed_since(database, space, removed)
    else:  # the list of what was removed may have been shortened, and holes filled
        gone = segments.first_column(database.rows(of_space(statements.VEC_GONE, space)))
        removed = database.value(statements.LAST_REMOVED, (space,)) or 0
        last = segments.BEFORE_ALL
    database.change(of_space(statements.VEC_DELETE, space), [(number,) for number in gone.tolist()])
    last = _add(database, space, dimensions, last)
    database.rows(statements.SET_VEC_SEEN, (space, last, removed, now))


def drop_others(database: Database) -> None:
    """Drop the tables of spaces that are gone: whoever dropped them may not have been able to."""
    for (name,) in database.rows(statements.VEC_ORPHANS):
        database.rows(f'DROP TABLE "{name}"')


def _add(database: Database, space: int, dimensions: int, last: int) -> int:
    """Copy vectors that the table lacks, and give the highest id that it has seen."""
    rows = database.rows(of_space(statements.VEC_LACKS, space), (last, STEP))
    if not rows:
        highest: int | None = database.value(of_space(statements.LAST_VECTOR_ID, space))
        return last if highest is None else max(last, highest)
    halves = segments.halves_in(database, [row[1] for row in rows], dimensions)
    database.change(
        of_space(statements.VEC_ADD, space),
        (
            (number, vector.astype("<f4").tobytes(), kind, language)
            for (number, _, kind, language), vector in zip(rows, halves, strict=True)
        ),
    )
    return int(rows[-1][0])
