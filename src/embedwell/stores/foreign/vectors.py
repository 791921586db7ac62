"""Search in an application's table: compact codes in memory, following what it writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embedwell.core.errors import StoreError
from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.foreign.file import ForeignFile
from embedwell.stores.foreign.plain import PlainSource
from embedwell.stores.foreign.source import Source
from embedwell.stores.foreign.tables import Place, read_texts, table_in
from embedwell.stores.foreign.vec0 import Vec0Source, is_vec0
from embedwell.stores.index import best
from embedwell.stores.scan.bits import HalfArray
from embedwell.stores.scan.held import EXACT_ROWS, Held
from embedwell.stores.vectors import spread, unit_of

BATCH = 1_024
_TRIES = 3  # to catch up between two writes of the application
_SPARE_NUMBERS = 65_536  # given to rows that are gone, before all are numbered anew
_SKIPPED = -1


@dataclass(frozen=True)
class Neighbour:
    """A row of the application's: its own id, and the cosine to what was asked."""

    id: Any
    score: float


@dataclass(frozen=True)
class _Known:
    """The application's rows as they were seen last.

    Attributes:
        rows: Their numbers in its table: int64, shape (n,), ascending.
        marks: What changes when a vector does: int64, shape (n,).
        numbers: What they are held by, `_SKIPPED` for those that are not: int64, shape (n,).
        version: Of the file; None before the first look.
    """

    rows: IntArray
    marks: IntArray
    numbers: IntArray
    version: int | None


_NONE = np.empty(0, np.int64)
_NOTHING = _Known(_NONE, _NONE, _NONE, None)


class ForeignVectors:
    """The vectors of a table in an application's SQLite file. Belongs to one thread.

    Args:
        path: The application's file.
        place: Where in it.
        dimensions: How long its vectors must be.
        exact_rows: Up to how many rows all values are held in memory, not only codes.

    Raises:
        StoreError: The file, the table or a column is not there, or cannot be read.
        SpaceMismatchError: The vectors have another length, or a form that is not known.
    """

    def __init__(
        self, path: Path, place: Place, dimensions: int, exact_rows: int = EXACT_ROWS
    ) -> None:
        self._place = place
        self._dimensions = dimensions
        self._exact_rows = exact_rows
        self._file = ForeignFile(path)
        try:
            self._source = _source(self._file, place, dimensions)
            read_texts(self._file, place, [""])  # looks the names up
        except BaseException:
            self._file.close()
            raise
        self._held = Held(dimensions, self._fetch, exact_rows)
        # Rows are held by numbers of our own, which only grow; theirs do not.
        self._row_of: IntArray = np.empty(0, np.int64)
        self._known = _NOTHING

    @property
    def form(self) -> str:
        """How the vectors are stored, for people; empty while there are none."""
        return self._source.form

    @property
    def has_texts(self) -> bool:
        """Whether it is known where the texts are."""
        return self._place.text is not None

    @property
    def skipped(self) -> int:
        """Rows that cannot be used: NULL, of another length, not finite or all zero."""
        return int((self._known.numbers == _SKIPPED).sum())

    def __len__(self) -> int:
        """How many rows can be found, as of the last search."""
        return len(self._held)

    def nearest(self, vector: FloatArray, k: int) -> list[Neighbour]:
        """The k rows with the highest cosine, best first; see `Store.nearest`.

        Raises:
            BadVectorError: The vector is NaN, infinite, zero or of another length.
        """
        unit = unit_of(vector, self._dimensions)
        with self._current():
            near = self._held.nearest(unit, k, None).ids
            rows = np.sort(self._row_of[near])
            # Once more with the values as the application stored them.
            scored = best(rows, np.nan_to_num(self._source.vectors(rows) @ unit, nan=-1.0), k)
            ids = self._source.ids(scored.ids)
        return [Neighbour(*pair) for pair in zip(ids, scored.scores.tolist(), strict=True)]

    def texts(self, ids: list[Any]) -> dict[Any, str]:
        """Texts by the application's ids, as they are now."""
        return read_texts(self._file, self._place, ids)

    def sample(self, n: int) -> tuple[FloatArray, list[str]]:
        """At most n rows that have a text, spread over the table: vectors (m, d) and texts."""
        with self._current():
            usable = self._known.numbers != _SKIPPED
            rows = spread(self._known.rows[usable], n)
            texts = self.texts(ids := self._source.ids(rows))
            having = [at for at, one in enumerate(ids) if texts.get(one, "").strip()]
            return self._source.vectors(rows[having]), [texts[ids[at]] for at in having]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _current(self) -> Iterator[None]:
        """A short snapshot that what is held agrees with.

        Most of the reading is done before it, in small steps, so that an application without WAL
        is not held up; only where it keeps writing, within.
        """
        for _ in range(_TRIES):
            self._follow()
            with self._file.snapshot():
                self._file.rows("SELECT count(*) FROM sqlite_schema")  # begins it
                if self._file.version == self._known.version:
                    yield
                    return
        with self._file.snapshot():
            self._follow()
            yield

    def _follow(self) -> None:
        """See what the application changed; costs a look at the beginning of every vector."""
        version = self._file.version
        if version == self._known.version:
            return
        if len(self._row_of) > 2 * len(self._known.rows) + _SPARE_NUMBERS:
            self._forget()
        try:
            self._known = self._compared(version)
        except BaseException:
            self._forget()  # some rows may be held that are not known
            raise

    def _compared(self, version: int) -> _Known:
        """Hold what is new, and no more what is gone."""
        known = self._known
        rows, marks = self._source.marks()
        at = np.searchsorted(rows, known.rows)
        at[at == len(rows)] = 0
        kept = at < 0 if not len(rows) else (rows[at] == known.rows) & (marks[at] == known.marks)
        self._held.remove(known.numbers[~kept])
        numbers = np.full(len(rows), _SKIPPED, np.int64)
        numbers[at[kept]] = known.numbers[kept]
        is_new = np.ones(len(rows), np.bool_)
        is_new[at[kept]] = False
        new = np.flatnonzero(is_new)
        for start in range(0, len(new), BATCH):
            part = new[start : start + BATCH]
            numbers[part] = self._append(rows[part])
        if self._file.version != version:  # some may have been gone only while they were read
            marks[is_new & (numbers == _SKIPPED)] = 0
        return _Known(rows, marks, numbers, version)

    def _append(self, rows: IntArray) -> IntArray:
        """Hold new rows; gives their numbers."""
        vectors = self._source.vectors(rows)
        usable = np.isfinite(vectors[:, 0])
        numbers = np.full(len(rows), _SKIPPED, np.int64)
        numbers[usable] = len(self._row_of) + np.arange(usable.sum())
        self._row_of = np.concatenate([self._row_of, rows[usable]])
        self._held.append(numbers[usable], vectors[usable].astype(np.float16))
        return numbers

    def _fetch(self, numbers: IntArray) -> HalfArray:
        rows = self._row_of[numbers]
        order = np.argsort(rows)
        halves = np.empty((len(rows), self._dimensions), np.float16)
        halves[order] = self._source.vectors(rows[order])
        return halves

    def _forget(self) -> None:
        self._held = Held(self._dimensions, self._fetch, self._exact_rows)
        self._row_of = np.empty(0, np.int64)
        self._known = _NOTHING


def _source(file: ForeignFile, place: Place, dimensions: int) -> Source:
    table, statement = table_in(file, place.table)
    if is_vec0(statement):
        if place.text is not None and not place.text.table:
            raise StoreError(
                f"'{table}' in {file.path} is a table of sqlite-vec, which holds no texts to read.",
                "Name the table, its id column and its text column.",
            )
        return Vec0Source(file, table, statement, place, dimensions)
    return PlainSource(file, place, dimensions)
