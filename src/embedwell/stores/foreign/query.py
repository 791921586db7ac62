"""The rows of a query over an application's own SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedwell.stores.foreign.file import ForeignFile
from embedwell.stores.rows import QueriedRows, bad_query


@contextmanager
def rows_of(target: str | Path, query: str) -> Iterator[QueriedRows]:
    """Run a query and read its rows as they are asked for; nothing can be written.

    Raises:
        QueueError: The query cannot be run.
        StoreNotFoundError: There is no such file.
        StoreError: It cannot be read.
    """
    file = ForeignFile(Path(target).expanduser())
    try:
        try:
            cursor = file.cursor(query)
        except sqlite3.Error as error:
            raise bad_query(str(target), error) from error
        if cursor.description is None:
            raise bad_query(str(target), "it gives no rows")
        names = [column[0] for column in cursor.description]
        with file.faults_named():
            yield QueriedRows(names, cursor)
    finally:
        file.close()
