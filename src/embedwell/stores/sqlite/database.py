"""A connection to one SQLite file: rows, transactions, snapshots."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from embedwell.core.errors import StoreError
from embedwell.stores.sqlite import faults, statements

BUSY_S = 5.0
"""How long a write waits for another process's transaction; batches take far less."""
COPIED_PAGES = 1_000
"""Pages copied in one step: 8 MB."""

Row = tuple[Any, ...]


class Database:
    """An open file. Everything sqlite3 raises comes out as `StoreError` and its kinds."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._connection = connection
        self._n_undone = 0

    def rows(self, statement: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """Run a statement and give all its rows."""
        with faults.faults_named(self.path):
            return self._connection.execute(statement, parameters).fetchall()

    def each(self, statement: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """Run a statement and give its rows one after another, however many there are."""
        with faults.faults_named(self.path):
            yield from self._connection.execute(statement, parameters)

    def value(self, statement: str, parameters: Sequence[Any] = ()) -> Any:  # noqa: ANN401
        """The first column of the first row, or None."""
        rows = self.rows(statement, parameters)
        return rows[0][0] if rows else None

    def insert(self, statement: str, parameters: Sequence[Any]) -> int:
        """Run an INSERT and give the row's id."""
        with faults.faults_named(self.path):
            return self._connection.execute(statement, parameters).lastrowid or 0

    def change(self, statement: str, rows: Iterable[Sequence[Any]]) -> int:
        """Run a statement for each row; gives how many rows changed."""
        with faults.faults_named(self.path):
            return self._connection.executemany(statement, rows).rowcount

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside are kept together, or none.

        Raises:
            StoreReadOnlyError: The file was opened for reading.
            StoreBusyError: Another process wrote for longer than `BUSY_S`.
        """
        if self.read_only:
            raise faults.read_only(self.path)
        with self._between(statements.BEGIN_WRITE):
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see one state; inside another snapshot, that one's."""
        if self._connection.in_transaction:
            yield
            return
        with self._between(statements.BEGIN_READ):
            yield

    @contextmanager
    def _between(self, begin: str) -> Iterator[None]:
        self.rows(begin)
        try:
            yield
            self.rows(statements.COMMIT)
        except BaseException:
            self._n_undone += 1
            # A full disk may have rolled back already.
            with suppress(StoreError):
                if self._connection.in_transaction:
                    self.rows(statements.ROLLBACK)
            raise

    @property
    def version(self) -> tuple[int, int, int]:
        """Another value whenever this or another connection changed the file."""
        seen: int = self.value(statements.DATA_VERSION)  # what others committed
        return seen, self._connection.total_changes, self._n_undone

    @property
    def n_changes(self) -> int:
        """Rows that this connection changed so far, those of the lexical index's tables too."""
        return self._connection.total_changes

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction or snapshot is open."""
        return self._connection.in_transaction

    def copy_to(self, other: Database) -> None:
        """Copy all pages as they are now, in steps that can be interrupted.

        In a snapshot: without one, each write of somebody else would begin the copy anew.
        """
        with self.snapshot(), faults.faults_named(other.path):
            self.rows(statements.USER_VERSION)  # the first read fixes what the snapshot sees
            self._connection.backup(other._connection, pages=COPIED_PAGES)

    def script(self, text: str) -> None:
        """Run several statements, inside a transaction as well."""
        statement = ""
        for line in text.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                self.rows(statement)
                statement = ""

    def add_function(self, name: str, function: Any) -> None:  # noqa: ANN401 - any callable
        """Make a pure Python function of two arguments callable from SQL."""
        with faults.faults_named(self.path):
            self._connection.create_function(name, 2, function, deterministic=True)

    def load_extension(self, path: str) -> None:
        """Load a library into SQLite.

        Raises:
            StoreError: This Python's `sqlite3` loads none, or not this one.
        """
        if not hasattr(self._connection, "enable_load_extension"):
            raise StoreError(
                "this Python's sqlite3 was built without loading of extensions",
                "Use a Python that has it, such as that of most Linux systems.",
            )
        with faults.faults_named(self.path):
            self._connection.enable_load_extension(True)  # noqa: FBT003 - its only argument
            try:
                self._connection.load_extension(path)
            finally:
                self._connection.enable_load_extension(False)  # noqa: FBT003 - the same

    def close(self) -> None:
        """Close the file; the last to close it moves the log into it."""
        with faults.faults_named(self.path):
            self._connection.close()


def connect(path: Path, mode: str, *, read_only: bool) -> Database:
    """Open a file in one of SQLite's modes: `ro`, `rw`, `rwc`.

    Raises:
        StoreError: It cannot be opened.
    """
    with faults.faults_named(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
    return Database(path, connection, read_only=read_only)
