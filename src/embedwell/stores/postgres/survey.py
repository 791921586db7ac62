"""The vectors that an application has in its own tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedwell.stores.migrations import VectorColumn
from embedwell.stores.postgres.upgrade import Names

if TYPE_CHECKING:
    from psycopg import Connection

# Larger tables are not counted: that would read all of them.
_COUNTED_BYTES = 64 << 20
# Nor those that the application is changing in this moment.
_WAIT_MS = 200

# Tables of people: not the server's, not an extension's, not those of our schema.
_TABLES = """
SELECT pg_class.oid FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p', 'm') AND NOT relispartition
  AND nspname NOT IN ('pg_catalog', 'information_schema', %s) AND nspname !~ '^pg_(toast|temp)'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend
                  WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
"""
_COUNT_TABLES = f"SELECT count(*) FROM ({_TABLES}) AS tables"  # noqa: S608 - our own text
# The dimensions of a column are its type's modifier; -1 where it has none.
_COLUMNS = f"""
SELECT pg_class.oid, pg_class.oid::regclass::text, attname, attnum,
       format_type(atttypid, atttypmod), atttypmod, reltuples::bigint,
       relkind <> 'p' AND has_table_privilege(pg_class.oid, 'SELECT')
FROM pg_catalog.pg_attribute
JOIN pg_catalog.pg_class ON pg_class.oid = attrelid
JOIN pg_catalog.pg_type ON pg_type.oid = atttypid
JOIN pg_catalog.pg_depend ON pg_depend.classid = 'pg_type'::regclass AND objid = pg_type.oid
JOIN pg_catalog.pg_extension ON pg_extension.oid = refobjid AND extname = 'vector'
WHERE pg_class.oid IN ({_TABLES}) AND attnum > 0 AND NOT attisdropped
ORDER BY 2, attnum"""  # noqa: S608 - our own text
_SIZE = "SELECT pg_relation_size(%s)"
# From the catalog alone: pg_get_indexdef waits for whoever changes the table.
_INDEXES = """
SELECT indexrelid::regclass::text, amname, opcname FROM pg_catalog.pg_index
JOIN pg_catalog.pg_class ON pg_class.oid = indexrelid
JOIN pg_catalog.pg_am ON pg_am.oid = relam
JOIN pg_catalog.pg_opclass ON pg_opclass.oid = indclass[array_position(indkey::int2[], %(column)s)]
WHERE indrelid = %(table)s AND %(column)s = ANY (indkey) ORDER BY 1"""


def survey(connection: Connection, names: Names) -> tuple[int, tuple[VectorColumn, ...]]:
    """How many tables an application has, and which of their columns hold vectors.

    Args:
        connection: In a transaction.
        names: What is ours, and left out.
    """
    # Names come with their schema whatever the role's settings are.
    connection.execute("SET LOCAL search_path TO pg_catalog")
    connection.execute(f"SET LOCAL lock_timeout = {_WAIT_MS}")
    counted = connection.execute(_COUNT_TABLES, [names.schema]).fetchone()
    columns = connection.execute(_COLUMNS, [names.schema]).fetchall()
    return (counted[0] if counted else 0), tuple(_column(connection, row) for row in columns)


def _column(connection: Connection, row: tuple[Any, ...]) -> VectorColumn:
    oid, table, column, number, kind, modifier, estimate, readable = row
    counted = _count(connection, oid, table) if readable else None
    rows = counted if counted is not None or estimate < 0 else estimate
    found = connection.execute(_INDEXES, {"table": oid, "column": number})
    indexes = tuple(f"{name}: {method}, {operators}" for name, method, operators in found)
    dimensions = modifier if modifier > 0 else None
    plain = kind.rpartition(".")[2]  # the extension's schema tells nothing
    return VectorColumn(table, column, plain, dimensions, rows, counted is not None, indexes)


def _count(connection: Connection, oid: int, table: str) -> int | None:
    """The rows of a table; None where it is large, or the application is changing it."""
    from psycopg import errors  # noqa: PLC0415 - loaded by now

    try:
        with connection.transaction():
            size = connection.execute(_SIZE, [oid]).fetchone()
            if size is None or size[0] is None or size[0] > _COUNTED_BYTES:
                return None
            count = f"SELECT count(*) FROM {table}"  # noqa: S608 - quoted by the server
            found = connection.execute(count).fetchone()
            return int(found[0]) if found else None
    except errors.LockNotAvailable:
        return None
