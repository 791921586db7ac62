"""Vectors in a `vec0` table of sqlite-vec, read from the plain tables that it keeps them in.

So the extension is not needed. The layout is that of sqlite-vec 0.1: `NAME_chunks` with the row
numbers of 1,024 vectors in each row, `NAME_vector_chunks00` with their values, and `NAME_rowids`
from row numbers to the application's ids and back to the chunk and the place in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from embedwell.core.errors import SpaceMismatchError, StoreError
from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.foreign.file import ForeignFile
from embedwell.stores.foreign.forms import unit_rows
from embedwell.stores.foreign.tables import Place, quoted

_VECTOR = re.compile(
    r'^["\[`]?(\w+)["\]`]?\s+(float|f32|int8|bit)\s*\[\s*(\d+)\s*\]', re.IGNORECASE
)
_VEC0 = re.compile(r"\s*CREATE\s+VIRTUAL\s+TABLE\b.*\bUSING\s+vec0\b", re.IGNORECASE | re.DOTALL)
_KEY = re.compile(r'^["\[`]?(\w+)["\]`]?\s+(text|integer)\s+primary\s+key', re.IGNORECASE)


def is_vec0(statement: str) -> bool:
    """Whether a table was made by sqlite-vec, by the statement that made it."""
    return bool(_VEC0.match(statement))


class Vec0Source:
    """`Source` over a `vec0` table.

    Args:
        file: The application's file.
        table: The table's real name.
        statement: What made it.
        place: Where in it.
        dimensions: How long its vectors must be.

    Raises:
        StoreError: A column is not there, there are conditions, or the layout is not known.
        SpaceMismatchError: Its vectors have another length or type.
    """

    def __init__(
        self, file: ForeignFile, table: str, statement: str, place: Place, dimensions: int
    ) -> None:
        if place.where:
            raise StoreError(
                f"'{table}' in {file.path} is a table of sqlite-vec, which is read whole.",
                "Leave out the conditions.",
            )
        self._file = file
        self._dimensions = dimensions
        self.form = "vec0 float32"
        parts = _declared(statement)
        column = _vector_column(file, table, parts, place.vector, dimensions)
        self._has_ids = _has_text_ids(file, table, parts, place.id)
        _check_layout(file, table, column)
        names = f"{table}_chunks", f"{table}_vector_chunks{column:02}", f"{table}_rowids"
        chunks, vectors, rowids = map(quoted, names)
        # Every name in these was looked up in the file and is quoted.
        self._chunk_ids = f"SELECT chunk_id FROM {chunks} ORDER BY chunk_id"  # noqa: S608
        self._chunk = (
            f"SELECT validity, rowids, vectors FROM {chunks} "  # noqa: S608
            f"JOIN {vectors} ON {vectors}.rowid = chunk_id WHERE chunk_id = ?"
        )
        self._where = (
            f"SELECT rowid, chunk_id FROM {rowids} WHERE rowid IN (SELECT value FROM json_each(?))"  # noqa: S608
        )
        self._ids = (
            f"SELECT rowid, id FROM {rowids} WHERE rowid IN (SELECT value FROM json_each(?))"  # noqa: S608
        )

    def marks(self) -> tuple[IntArray, IntArray]:
        """All rows, and what changes when a row's vector does; see `Source`."""
        numbers, marks = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for (chunk,) in self._file.rows(self._chunk_ids):
            for rows, values in self._read(chunk):
                numbers.append(rows)
                # An odd factor for each place, so that values that change places are seen.
                factors = np.arange(values.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
                as_numbers = values.view("<u4").astype(np.uint64)
                marks.append((as_numbers @ factors).view(np.int64))
        order = np.argsort(together := np.concatenate(numbers))
        return together[order], np.concatenate(marks)[order]

    def vectors(self, rows: IntArray) -> FloatArray:
        """Vectors of length 1; see `Source`."""
        out = np.full((len(rows), self._dimensions), np.nan, np.float32)
        placed = self._file.rows(self._where, (json.dumps(rows.tolist()),))
        for chunk in sorted({chunk for _, chunk in placed}):
            for held, values in self._read(chunk):
                order = np.argsort(held)
                at = np.minimum(np.searchsorted(held, rows, sorter=order), len(held) - 1)
                found = held[order[at]] == rows
                out[found] = unit_rows(values[order[at[found]]])
        return out

    def ids(self, rows: IntArray) -> list[Any]:
        """The application's own ids; see `Source`."""
        by_row: dict[int, Any] = dict(self._file.rows(self._ids, (json.dumps(rows.tolist()),)))
        numbers = rows.tolist()
        if not self._has_ids:
            return [number if number in by_row else None for number in numbers]
        return [by_row.get(number) for number in numbers]

    def _read(self, chunk: int) -> Iterator[tuple[IntArray, FloatArray]]:
        """Row numbers and values of a chunk's vectors, if it is there and has any."""
        for validity, rowids, vectors in self._file.rows(self._chunk, (chunk,)):
            valid = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
            numbers = np.frombuffer(rowids, "<i8")
            values = np.frombuffer(vectors, "<f4").reshape(len(numbers), self._dimensions)
            at = np.flatnonzero(valid[: len(numbers)])
            if len(at):
                yield numbers[at], values[at]


def _declared(statement: str) -> list[str]:
    """What a `vec0` table was declared with, part by part."""
    inner = statement[statement.index("(") + 1 : statement.rindex(")")]
    return [part.strip() for part in inner.split(",")]


def _vector_column(
    file: ForeignFile, table: str, parts: list[str], name: str, dimensions: int
) -> int:
    """Which of the vector columns is meant."""
    columns = [match.groups() for part in parts if (match := _VECTOR.match(part))]
    for at, (column, kind, length) in enumerate(columns):
        if column.lower() != name.lower():
            continue
        if kind.lower() not in {"float", "f32"} or int(length) != dimensions:
            raise SpaceMismatchError(
                f"'{table}.{column}' in {file.path} holds {kind}[{length}]; the model gives "
                f"float[{dimensions}].",
                "Name the model that made them with `model=`.",
            )
        return at
    known = ", ".join(repr(column) for column, *_ in columns)
    raise StoreError(
        f"The table '{table}' in {file.path} has no vectors '{name}'.", f"It has: {known}."
    )


def _has_text_ids(file: ForeignFile, table: str, parts: list[str], name: str) -> bool:
    """Whether the application's ids are texts of its own, else they are the row numbers."""
    keys = [match.groups() for part in parts if (match := _KEY.match(part))]
    own = keys[0][0] if keys else "rowid"
    if name.lower() not in {own.lower(), "rowid"}:
        raise StoreError(
            f"The ids of '{table}' in {file.path} are not in '{name}'.", f"Name '{own}'."
        )
    return bool(keys) and name.lower() == own.lower() and keys[0][1].lower() == "text"


def _check_layout(file: ForeignFile, table: str, column: int) -> None:
    there = {name for (name,) in file.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    wanted = {f"{table}_{part}" for part in ("chunks", "rowids", f"vector_chunks{column:02}")}
    if missing := wanted - there:
        raise StoreError(
            f"'{table}' in {file.path} is not laid out as sqlite-vec 0.1 does: without "
            f"{', '.join(sorted(missing))}.",
            "Adopt a plain table with the vectors, or report the version of sqlite-vec.",
        )
