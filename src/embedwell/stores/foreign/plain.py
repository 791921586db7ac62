"""Vectors in a plain table of an application."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.foreign import tables
from embedwell.stores.foreign.file import ForeignFile, Row
from embedwell.stores.foreign.forms import form_of, rows_of
from embedwell.stores.foreign.tables import Place

SLICE = 4_096
"""Rows read by one statement: without WAL the application waits that long, some milliseconds."""
LOOKED_AT = 32
"""Values that the form is judged by."""
BEGINNING = 32
"""Bytes, or characters of JSON, that a vector is known by: 8 float32 values."""
_BEFORE_ALL = -(2**63)


class PlainSource:
    """`Source` over a table with row numbers.

    Args:
        file: The application's file.
        place: Where in it; its names are checked here.
        dimensions: How long its vectors must be.

    Raises:
        StoreError: The table or one of its columns is not there.
        SpaceMismatchError: Its vectors have another length, or a form that is not known.
    """

    def __init__(self, file: ForeignFile, place: Place, dimensions: int) -> None:
        self._file = file
        self._dimensions = dimensions
        self._title = f"'{place.table}.{place.vector}' in {file.path}"
        table, _ = tables.table_in(file, place.table)
        id_column, vector = tables.columns_in(file, table, [place.id, place.vector])
        condition, self._values = tables.conditions(file, table, place.where)
        own, number = tables.quoted(table), tables.row_number_of(file, table)
        # Every name in these was looked up in the file and is quoted.
        self._sample = f"SELECT {vector} FROM {own} WHERE {vector} IS NOT NULL{condition} LIMIT ?"  # noqa: S608
        self._marks = (
            f"SELECT {own}.{number}, substr({own}.{vector}, 1, {BEGINNING}) FROM {own} "  # noqa: S608
            f"WHERE {own}.{number} > ?{condition} ORDER BY {own}.{number} LIMIT ?"
        )
        wanted = f"json_each(?) AS wanted CROSS JOIN {own} ON {own}.{number} = wanted.value"
        self._vectors = f"SELECT wanted.key, {own}.{vector} FROM {wanted} WHERE 1{condition}"  # noqa: S608
        self._ids = f"SELECT wanted.key, {own}.{id_column} FROM {wanted}"  # noqa: S608
        self.form = ""
        self._find_form()

    def marks(self) -> tuple[IntArray, IntArray]:
        """All rows, and what changes when a row's vector does; see `Source`."""
        numbers, marks, after = [np.empty(0, np.int64)], [np.empty(0, np.int64)], _BEFORE_ALL
        while rows := self._file.rows(self._marks, (after, *self._values, SLICE)):
            numbers.append(np.fromiter((row[0] for row in rows), np.int64, len(rows)))
            marks.append(np.fromiter((hash(row[1]) for row in rows), np.int64, len(rows)))
            after = rows[-1][0]
        return np.concatenate(numbers), np.concatenate(marks)

    def vectors(self, rows: IntArray) -> FloatArray:
        """Vectors of length 1; see `Source`."""
        if not self.form:  # the table was empty when it was adopted
            self._find_form()
        values = self._by_position(self._vectors, rows, self._values)
        return rows_of(values, self.form, self._dimensions)

    def ids(self, rows: IntArray) -> list[Any]:
        """The application's own ids; see `Source`."""
        return self._by_position(self._ids, rows, ())

    def _by_position(self, statement: str, rows: IntArray, values: tuple[Any, ...]) -> list[Any]:
        found: list[Row] = self._file.rows(statement, (json.dumps(rows.tolist()), *values))
        out: list[Any] = [None] * len(rows)
        for at, value in found:
            out[at] = value
        return out

    def _find_form(self) -> None:
        rows = self._file.rows(self._sample, (*self._values, LOOKED_AT))
        self.form = form_of([value for (value,) in rows], self._dimensions, self._title)
