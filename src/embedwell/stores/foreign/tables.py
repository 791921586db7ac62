"""Names in an application's file: looked up there before they go into a statement."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from embedwell.core.errors import StoreError
from embedwell.stores.foreign.file import ForeignFile

ROW_NUMBERS = ("rowid", "_rowid_", "oid")  # what SQLite calls it, unless a column is named so
_SCALARS = (str, int, float, bytes, bool, type(None))


@dataclass(frozen=True)
class TextPlace:
    """Where the text of a row is.

    Attributes:
        column: The column.
        table: Its table; empty for that of the vectors.
        key: The column of that table that has the ids of the vectors.
    """

    column: str
    table: str = ""
    key: str = ""


@dataclass(frozen=True)
class Place:
    """Where an application keeps vectors.

    Attributes:
        table: A plain table, or one of sqlite-vec (`USING vec0`).
        id: The column with the application's own ids.
        vector: The column with the vectors.
        where: Columns and the values that they must have; None stands for NULL.
        text: Where the texts are that were embedded, if anywhere.
    """

    table: str
    id: str
    vector: str
    where: Mapping[str, Any] = field(default_factory=dict)
    text: TextPlace | None = None


def quoted(name: str) -> str:
    """A name as SQL takes any."""
    return '"' + name.replace('"', '""') + '"'


def table_in(file: ForeignFile, name: str) -> tuple[str, str]:
    """A table's real name, and the statement that made it.

    Raises:
        StoreError: There is no such table, or it is a view.
    """
    tables = file.rows("SELECT name, type, sql FROM sqlite_schema WHERE type IN ('table', 'view')")
    for real, kind, statement in tables:
        if real.lower() == name.lower():
            if kind == "view":
                raise StoreError(
                    f"'{real}' in {file.path} is a view, whose rows have no numbers to find them "
                    "again by.",
                    "Name the table that has the vectors.",
                )
            return real, statement or ""
    known = ", ".join(sorted(f"'{real}'" for real, *_ in tables)) or "none"
    raise StoreError(f"{file.path} has no table '{name}'.", f"It has: {known}.")


def columns_in(file: ForeignFile, table: str, names: Sequence[str]) -> list[str]:
    """The real names of columns, quoted.

    Raises:
        StoreError: The table lacks one.
    """
    there = [name for (name,) in file.rows("SELECT name FROM pragma_table_info(?)", (table,))]
    by_name = {name.lower(): name for name in there}
    for name in names:
        if name.lower() not in by_name:
            raise StoreError(
                f"The table '{table}' in {file.path} has no column '{name}'.",
                f"It has: {', '.join(map(repr, there))}.",
            )
    return [quoted(by_name[name.lower()]) for name in names]


def row_number_of(file: ForeignFile, table: str) -> str:
    """What a table's row numbers are called in SQL.

    Raises:
        StoreError: It has none (`WITHOUT ROWID`).
    """
    there = {
        name.lower() for (name,) in file.rows("SELECT name FROM pragma_table_info(?)", (table,))
    }
    free = [name for name in ROW_NUMBERS if name not in there]
    statement = file.rows("SELECT sql FROM sqlite_schema WHERE name = ?", (table,))[0][0] or ""
    if not free or re.search(r"\bWITHOUT\s+ROWID\b[^)]*$", statement, re.IGNORECASE):
        raise StoreError(
            f"The rows of '{table}' in {file.path} have no numbers (`WITHOUT ROWID`).",
            "Adopt a table that has them.",
        )
    return free[0]


def conditions(
    file: ForeignFile, table: str, where: Mapping[str, Any]
) -> tuple[str, tuple[Any, ...]]:
    """What rows must have, as SQL and its parameters.

    Raises:
        StoreError: The table lacks a column, or a value is none that SQLite stores.
    """
    for name, value in where.items():
        if not isinstance(value, _SCALARS):
            raise StoreError(
                f"The condition on '{name}' is {value!r}, which no column can equal.",
                "Use text, a number, bytes or None.",
            )
    names = columns_in(file, table, list(where))
    own = quoted(table)
    return "".join(f" AND {own}.{name} IS ?" for name in names), tuple(where.values())


def read_texts(file: ForeignFile, place: Place, ids: Sequence[Any]) -> dict[Any, str]:
    """Texts by the application's ids; those that are missing or no text are left out."""
    if place.text is None or not ids:
        return {}
    table, _ = table_in(file, place.text.table or place.table)
    key, column = columns_in(file, table, [place.text.key or place.id, place.text.column])
    marks = ", ".join("?" * len(ids))
    given = list(ids)
    condition: str = ""
    if not place.text.table:
        condition, values = conditions(file, table, place.where)
        given += values
    rows = file.rows(
        f"SELECT {key}, {column} FROM {quoted(table)} WHERE {key} IN ({marks}){condition}",  # noqa: S608 - names checked and quoted
        given,
    )
    return {number: text for number, text in rows if isinstance(text, str)}
