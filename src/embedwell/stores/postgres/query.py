"""The rows of a query over an application's own tables in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedwell.stores.postgres.database import connect
from embedwell.stores.postgres.embedded import address_of
from embedwell.stores.postgres.faults import faults_named, first_line
from embedwell.stores.rows import QueriedRows, bad_query

# Rows that the server sends at once: enough that the way to it does not count.
_AT_ONCE = 1_000


@contextmanager
def rows_of(target: str | Path, query: str) -> Iterator[QueriedRows]:
    """Run a query and read its rows as they are asked for, all of one moment.

    The server keeps the result (a cursor of its own) and refuses whatever writes.

    Raises:
        QueueError: The query cannot be run.
        MissingExtraError: The driver is not installed.
        StoreError: The database cannot be reached.
    """
    address = address_of(str(target))
    with connect(address) as connection:
        import psycopg  # noqa: PLC0415 - connect has said where it is missing

        with connection.transaction(), connection.cursor(name="embedwell_rows") as cursor:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.itersize = _AT_ONCE
            try:
                cursor.execute(query.encode())
            except psycopg.OperationalError:
                raise
            except psycopg.Error as error:
                raise bad_query(address.shown, first_line(error)) from error
            names = [column.name for column in cursor.description or ()]
            with faults_named(address.shown):
                yield QueriedRows(names, cursor)
