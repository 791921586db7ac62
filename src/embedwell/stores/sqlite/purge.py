"""Taking many rows of the queue with their documents out of a file, and emptying it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from embedwell.stores.queue import Purged, Which
from embedwell.stores.sqlite import purge_statements as statements
from embedwell.stores.sqlite import segments
from embedwell.stores.sqlite import statements as file_statements
from embedwell.stores.sqlite.database import Database, Row
from embedwell.stores.sqlite.queue_statements import MEANT
from embedwell.stores.sqlite.statements import of_space

ROW_BYTES = 300
"""About what a row of the queue takes, with its indexes."""


def purge(database: Database, which: Which, meant: Mapping[str, Any], *, dry_run: bool) -> Purged:
    """Remove rows with their documents, or only say what that would take away; see `Queue`.

    Args:
        database: The file.
        which: What is meant; what it names is there.
        meant: The same, as the queue's statements take it.
        dry_run: Whether nothing is removed.
    """
    if which == Which():
        return _all(database, dry_run=dry_run)
    if dry_run:
        with database.snapshot(), _listed(database, which, meant):
            return _purged(database)
    with database.transaction(), _listed(database, which, meant):
        found = _purged(database)
        for statement in statements.DELETE:
            database.rows(statement)
        for number, dimensions in _spaces(database):
            segments.keep_up(database, number, dimensions)
    return found


@contextmanager
def _listed(database: Database, which: Which, meant: Mapping[str, Any]) -> Iterator[None]:
    """What goes, in temporary tables."""
    whole = which == Which(source=which.source)
    documents = statements.DOCUMENTS_OF_SOURCE if whole else statements.DOCUMENTS
    for statement in (statements.ROWS + MEANT, documents, statements.SOURCES, statements.RUNS):
        database.rows(statement, dict(meant))
    yield
    for name in statements.LISTS:  # a transaction that fails takes them with it
        database.rows(statements.FORGET_LIST.format(list=name))


def _purged(database: Database) -> Purged:
    rows = _counted(database, statements.COUNTS)
    n_all = database.value(file_statements.N_CHUNKS)
    used = _used_bytes(database)
    n_bytes = used * rows["chunks"] // max(n_all, 1) + ROW_BYTES * rows["files_queue"]
    return Purged(rows, min(n_bytes, used))


def _all(database: Database, *, dry_run: bool) -> Purged:
    if dry_run:
        with database.snapshot():
            return _all_there(database)
    # Switched off because SQLite would look at each row; no effect in a transaction.
    database.rows(file_statements.NO_FOREIGN_KEYS)
    try:
        with database.transaction():
            found = _all_there(database)
            _empty(database)
    finally:
        database.rows(file_statements.FOREIGN_KEYS)
    return found


def _all_there(database: Database) -> Purged:
    return Purged(_counted(database, statements.COUNTS_OF_ALL), _used_bytes(database))


def _empty(database: Database) -> None:
    for number, _ in _spaces(database):
        for statement in (
            file_statements.DROP_VECTORS,  # with its trigger, which would list every row
            file_statements.CREATE_VECTORS,
            file_statements.CREATE_TRIGGER,
        ):
            database.rows(of_space(statement, number))
        database.rows(file_statements.RAISE_GENERATION, (number,))
    database.rows(statements.EMPTY_LEXICAL)
    for table in statements.EMPTIED:
        database.rows(statements.EMPTY.format(table=table))


def _counted(database: Database, counts: Mapping[str, str]) -> dict[str, int]:
    """Rows by table; those of the vectors' tables together."""
    numbers = [number for number, _ in _spaces(database)]
    return {
        name: sum(database.value(of_space(statement, number)) for number in numbers)
        if name == "vectors"
        else database.value(statement)
        for name, statement in counts.items()
    }


def _spaces(database: Database) -> list[Row]:
    return database.rows(file_statements.SPACE_DIMENSIONS)


def _used_bytes(database: Database) -> int:
    pages, free, page_bytes = database.rows(file_statements.PAGES)[0]
    return int((pages - free) * page_bytes)
