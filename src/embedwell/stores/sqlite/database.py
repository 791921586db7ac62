"""One SQLite file: opening it in the right mode, identity, transactions."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any

from embedwell.core.errors import (
    NewerStoreError,
    StoreError,
    StoreFullError,
    StoreNotFoundError,
    StoreReadOnlyError,
)
from embedwell.stores.sqlite import faults, statements

APPLICATION_ID = 0x656D6277  # "embw"
VERSION = 1
BUSY_S = 5.0
"""How long a write waits for another process's transaction; batches take far less."""

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_APPLICATION_ID_AT = slice(68, 72)

Row = tuple[Any, ...]


class Database:
    """An open file. Everything sqlite3 raises comes out as `StoreError` and its kinds."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._connection = connection

    def rows(self, statement: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """Run a statement and give all its rows."""
        with faults.faults_named(self.path):
            return self._connection.execute(statement, parameters).fetchall()

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
            # A full disk may have rolled back already.
            with suppress(StoreError):
                if self._connection.in_transaction:
                    self.rows(statements.ROLLBACK)
            raise

    def script(self, text: str) -> None:
        """Run several statements."""
        with faults.faults_named(self.path):
            self._connection.executescript(text)

    def add_function(self, name: str, function: Any) -> None:  # noqa: ANN401 - any callable
        """Make a pure Python function of two arguments callable from SQL."""
        with faults.faults_named(self.path):
            self._connection.create_function(name, 2, function, deterministic=True)

    def close(self) -> None:
        """Close the file; the last to close it moves the log into it."""
        with faults.faults_named(self.path):
            self._connection.close()


def open_database(path: Path, *, read_only: bool) -> Database:
    """Open an index that exists, for writing where that is possible and wanted.

    Raises:
        StoreNotFoundError: There is no such file.
        ForeignStoreError: It is not one of ours.
        NewerStoreError: A newer embedwell wrote it.
        StoreError: It cannot be read.
    """
    _check_identity(path)
    writable = not read_only and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    database = _open_to_write(path) if writable else _open_to_read(path)
    try:
        _check_version(database)
    except BaseException:
        database.close()
        raise
    return database


def create_database(path: Path) -> Database:
    """Make a file with the newest schema; its caller moves it into place when it is filled.

    Raises:
        StoreReadOnlyError: The folder cannot be written.
        StoreFullError: There is no room.
    """
    database = _connect(path, "rwc", read_only=False)
    try:
        for pragma in (statements.PAGE_SIZE, statements.WAL, statements.FOREIGN_KEYS):
            database.rows(pragma)
        database.script(
            statements.CREATE.format(
                application_id=APPLICATION_ID, version=VERSION, schema=schema_text()
            )
        )
    except BaseException:
        database.close()
        raise
    return database


def schema_text() -> str:
    """The statements that make the newest schema."""
    return resources.files(__package__).joinpath(f"{VERSION:03}.sql").read_text("utf-8")


def _check_identity(path: Path) -> None:
    """Look at the header before SQLite touches anything that may be another program's."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreNotFoundError(
            f"There is no index at {path}.", "Make one with `embedwell index`."
        ) from error
    except IsADirectoryError as error:
        raise faults.foreign(path) from error
    except OSError as error:
        raise faults.file_error(error, path) from error
    number = int.from_bytes(header[_APPLICATION_ID_AT], "big")
    if not header.startswith(_MAGIC) or number != APPLICATION_ID:
        raise faults.foreign(path)


def _check_version(database: Database) -> None:
    version = database.value(statements.USER_VERSION)
    if version > VERSION:
        raise NewerStoreError(
            f"{database.path} has schema {version}; this embedwell knows up to {VERSION}.",
            "Update embedwell, or index again into another file with `--db FILE`.",
        )
    tables = {name for (name,) in database.rows(statements.SCHEMA_TABLES)}
    if missing := _our_tables() - tables:
        raise faults.damaged(database.path, f"without its tables {', '.join(sorted(missing))}")


def _our_tables() -> set[str]:
    return set(re.findall(r"CREATE (?:VIRTUAL )?TABLE (\w+)", schema_text()))


def _open_to_write(path: Path) -> Database:
    database = _connect(path, "rw", read_only=False)
    try:
        database.rows(statements.FOREIGN_KEYS)
        database.rows(statements.USER_VERSION)
    except (StoreReadOnlyError, StoreFullError):
        # Permissions looked right, yet the log cannot be made beside the file.
        database.close()
        return _open_to_read(path)
    except BaseException:
        database.close()
        raise
    return database


def _open_to_read(path: Path) -> Database:
    """Open without writing anything, even in a folder where nothing can be written."""
    database = _connect(path, "ro", read_only=True)
    try:
        database.rows(statements.USER_VERSION)
    except (StoreReadOnlyError, StoreFullError):
        database.close()
        if _has_log(path):
            raise StoreReadOnlyError(
                f"{path} has writes waiting in {path.name}-wal, and its folder cannot be written.",
                "Open it once where it can be written, or copy both files to such a folder.",
            ) from None
        # Without a log nothing is pending, and in a folder that cannot be written none can come.
        return _connect(path, "ro&immutable=1", read_only=True)
    except BaseException:
        database.close()
        raise
    return database


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    try:
        return log.stat().st_size > 0
    except FileNotFoundError:
        return False


def _connect(path: Path, mode: str, *, read_only: bool) -> Database:
    with faults.faults_named(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
    return Database(path, connection, read_only=read_only)
