"""Finding the column that a person names, and what hangs on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from embedwell.core.errors import MigrationError, StoreSetupError
from embedwell.stores.columns import ColumnPlace
from embedwell.stores.postgres import column_statements as sql
from embedwell.stores.postgres.column_parts import (
    Found,
    IndexCopy,
    full_spellings,
    index_copy,
    spellings,
)

if TYPE_CHECKING:
    from psycopg import Connection

_KINDS = ("vector", "halfvec")
_A_STRING = "S"  # pg_type.typcategory
_NO_TABLES = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


@dataclass(frozen=True)
class _Column:
    """One row of `column_statements.COLUMNS`."""

    name: str
    number: int
    shown_type: str
    type: str
    type_schema: str
    modifier: int
    is_required: bool
    is_generated: bool
    is_inherited: bool
    category: str
    storage: str | None
    comment: str | None


def find(
    connection: Connection,
    table: tuple[int, str, str],
    place: ColumnPlace,
    state_texts: Sequence[str],
) -> Found:
    """The column, if it is one that can be moved.

    Args:
        connection: Types are named as its search path asks for.
        table: See `find_table`.
        place: As a person named it.
        state_texts: The columns with texts of a migration that was begun, used where none are
            named.

    Raises:
        MigrationError: There is no such table or column, or it is of another kind.
        StoreSetupError: The extension or a right is missing.
    """
    oid, schema, name = table
    where = f"{schema}.{name}"
    there = _columns(connection, oid)
    column = _named(place.column, there, where)
    if column.type not in _KINDS:
        raise MigrationError(
            f"Column '{column.name}' of {where} is of type {column.shown_type}, and not "
            "vector or halfvec.",
            _others(there),
        )
    texts = tuple(_text(text, there, where) for text in place.texts or state_texts)
    default = None
    if not column.is_generated:
        rows = connection.execute(sql.DEFAULT, [oid, column.number]).fetchall()
        default = rows[0][0] if rows else None
    found = Found(
        oid=oid,
        schema=schema,
        table=name,
        column=column.name,
        number=column.number,
        kind=column.type,
        dimensions=column.modifier if column.modifier > 0 else None,
        is_required=column.is_required,
        default=default,
        storage=column.storage,
        comment=column.comment,
        key=_key(connection, oid, place.key, there, where),
        texts=texts,
    )
    # A switch that was killed has left its check in place of NOT NULL.
    is_left = bool(_one(connection, sql.HAS_CONSTRAINT, [oid, found.check])[0])
    return replace(found, is_required=found.is_required or is_left)


def find_table(connection: Connection, given: str) -> tuple[int, str, str]:
    """Number, schema and name of a table.

    Args:
        connection: With the search path of the role.
        given: Its name, as a person wrote it.

    Raises:
        MigrationError: There is none of that name, or several.
    """
    if connection.execute(sql.EXTENSION).fetchone() is None:
        raise StoreSetupError(
            "The database has no pgvector (the extension 'vector'), so no column of vectors.",
            "Name the database that the application uses.",
        )
    for name in full_spellings(given):
        rows = connection.execute(sql.TABLES, {"name": name}).fetchall()
        full = [row for row in rows if f"{row[1]}.{row[2]}" == name]
        visible = [row for row in rows if row[3]]
        for found in (visible, full):
            if len(found) == 1:
                return found[0][:3]
        if rows:
            places = ", ".join(f"{schema}.{table}" for _, schema, table, *_ in rows)
            raise MigrationError(
                f"No table '{given}' is on the search path, but there is {places}.",
                "Name it with its schema: `--table SCHEMA.TABLE`.",
            )
    raise MigrationError(
        f"There is no table '{given}'.",
        "`embedwell db adopt --json` lists the columns of vectors in the database.",
    )


def check_table(connection: Connection, found: Found) -> None:
    """Refuse a table that cannot be changed, all reasons at once.

    Raises:
        MigrationError: Because of what it is, or of what hangs on the column.
        StoreSetupError: This role may not.
    """
    kind, is_part, has_parts, is_owner, owner, role, is_hidden, *_ = _one(
        connection, sql.TABLE, [found.oid]
    )
    where = f"{found.schema}.{found.table}"
    if kind in _NO_TABLES:
        raise MigrationError(f"{where} is {_NO_TABLES[kind]}.", "Name the table behind it.")
    if kind == "p" or is_part or has_parts:
        raise MigrationError(
            f"{where} is divided into partitions or inherits.",
            "Only plain tables are moved so far: make one of it, or embed it anew by hand.",
        )
    if not is_owner:
        raise StoreSetupError(
            f"{where} belongs to role '{owner}', and '{role}' may not change it.",
            f'Use the address of its owner, or let the owner run: GRANT "{owner}" TO "{role}".',
        )
    if is_hidden:
        raise StoreSetupError(
            f"Row security hides rows of {where} from '{role}'.",
            f'Let an administrator run: ALTER ROLE "{role}" BYPASSRLS, until this is done.',
        )
    there = {column.name: column for column in _columns(connection, found.oid)}
    column = there[found.column]
    if column.is_generated or column.is_inherited:
        raise MigrationError(
            f"Column '{found.column}' of {where} is generated or inherited.",
            "Only a column that the application writes can be moved.",
        )
    parameters = {"table": found.oid, "number": found.number, "check": found.check}
    if hanging := [name for (name,) in connection.execute(sql.DEPENDING, parameters)]:
        raise MigrationError(
            f"Other things are made of column '{found.column}' of {where}: {'; '.join(hanging)}.",
            "Drop them, move the column, and make them again.",
        )


def indexes(
    connection: Connection, found: Found, number: int, dimensions: int = 1
) -> list[IndexCopy]:
    """The indexes over a column that are whole.

    Args:
        connection: Open.
        found: The column, or what it is exchanged with.
        number: The number of the one that is looked at.
        dimensions: The new length, where it is known.
    """
    rows = connection.execute(sql.INDEXES, {"table": found.oid, "number": number}).fetchall()
    return [index_copy(row, found, number, dimensions) for row in rows if row[2]]


def check_indexes(found: Found, there: Sequence[IndexCopy]) -> None:
    """Refuse indexes that we cannot make over the new column.

    Raises:
        MigrationError: There are some; their definitions are told.
    """
    if strange := [index.definition for index in there if not index.parts]:
        raise MigrationError(
            f"Indexes over column '{found.column}' of {found.full_table} are not of a kind that "
            f"is made again by itself: {'; '.join(strange)}.",
            "Drop them, move the column, and make them again for its new dimensions.",
        )


def numbers(connection: Connection, oid: int) -> dict[str, int]:
    """The columns of a table by name."""
    return {column.name: column.number for column in _columns(connection, oid)}


def triggers(connection: Connection, found: Found) -> tuple[str, ...]:
    """The application's triggers that run when a row gets its vector."""
    ours = [found.trigger("next"), found.trigger("kept")]
    return tuple(name for (name,) in connection.execute(sql.TRIGGERS, [found.oid, ours]))


def _key(
    connection: Connection, oid: int, given: Sequence[str], there: Sequence[_Column], where: str
) -> tuple[tuple[str, str], ...]:
    asked = [_named(name, there, where).name for name in given]
    types = {column.name: column.shown_type for column in there}
    rows = [list(names) for (names,) in connection.execute(sql.KEYS, [oid])]
    for names in rows:
        if not asked or sorted(names) == sorted(asked):
            return tuple((name, types[name]) for name in names)
    if asked:
        raise MigrationError(
            f"{', '.join(asked)} does not tell the rows of {where} apart: no unique index is over "
            "exactly this, of columns that are NOT NULL.",
            f"Name another key: {'; '.join(', '.join(names) for names in rows)}."
            if rows
            else "Give the table a primary key first.",
        )
    raise MigrationError(
        f"{where} has no primary key and no unique index over columns that are NOT NULL, so its "
        "rows cannot be told apart.",
        f"Give it one: ALTER TABLE {where} ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY "
        "PRIMARY KEY (this rewrites the table).",
    )


def _text(given: str, there: Sequence[_Column], where: str) -> str:
    column = _named(given, there, where)
    if column.category != _A_STRING:
        raise MigrationError(
            f"Column '{column.name}' of {where} is of type {column.shown_type}, not a text.",
            "Name a column with what is embedded: `--text COLUMN`.",
        )
    if column.is_generated:
        raise MigrationError(
            f"Column '{column.name}' of {where} is generated: its changes cannot be followed.",
            "Name the columns that it is made of: `--text FIRST,SECOND`.",
        )
    return column.name


def _named(given: str, there: Sequence[_Column], where: str) -> _Column:
    for name in spellings(given):
        for column in there:
            if column.name == name:
                return column
    raise MigrationError(
        f"{where} has no column '{given}'.",
        f"It has: {', '.join(column.name for column in there)}.",
    )


def _others(there: Sequence[_Column]) -> str:
    found = [column.name for column in there if column.type in _KINDS]
    return f"Name one of: {', '.join(found)}." if found else "Name another table."


def _columns(connection: Connection, oid: int) -> list[_Column]:
    return [_Column(*row) for row in connection.execute(sql.COLUMNS, [oid])]


def _one(connection: Connection, statement: str, parameters: Sequence[Any]) -> tuple[Any, ...]:
    row = connection.execute(statement, parameters).fetchone()
    if row is None:
        raise MigrationError("The table is gone.", "Look at what the application did.")
    return row
