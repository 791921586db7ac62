"""An application's SQLite file, opened for reading beside the application itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from embedwell.core.errors import (
    ForeignStoreError,
    StoreBusyError,
    StoreError,
    StoreNotFoundError,
    StoreReadOnlyError,
)

BUSY_S = 5.0
"""How long a read waits where the application holds the whole file."""

_PRIMARY = 0xFF  # extended result codes keep the primary one in their low byte

Row = tuple[Any, ...]


class ForeignFile:
    """A connection that cannot write.

    The file is opened by SQLite alone: where a process that has it open were to open and close it
    in any other way, the system would drop the locks that SQLite holds on it.

    Args:
        path: The application's file.

    Raises:
        StoreNotFoundError: There is none.
        ForeignStoreError: It is not an SQLite database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise StoreNotFoundError(
                f"There is no file {path}.", "Name the application's SQLite file."
            )
        with _faults_named(path):
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=BUSY_S,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            self.rows("PRAGMA query_only = ON")
            self.rows("SELECT count(*) FROM sqlite_schema")
        except BaseException:
            self.close()
            raise

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a statement and give all its rows."""
        with _faults_named(self.path):
            return self._connection.execute(statement, parameters).fetchall()

    def cursor(self, statement: str) -> sqlite3.Cursor:
        """Run a statement and give its rows as they are asked for; raises what SQLite does."""
        cursor = self._connection.cursor()
        self._connection.text_factory = lambda text: text.decode("utf-8", "replace")
        return cursor.execute(statement)

    def faults_named(self) -> AbstractContextManager[None]:
        """What goes wrong inside comes out as `StoreError`."""
        return _faults_named(self.path)

    @property
    def version(self) -> int:
        """Another number whenever the application committed something."""
        found: int = self.rows("PRAGMA data_version")[0][0]
        return found

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see one state. Kept short: without WAL the application waits for it."""
        self.rows("BEGIN")
        try:
            yield
        finally:
            with _faults_named(self.path):
                self._connection.rollback()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _store_error(error, path) from error


def _store_error(error: sqlite3.Error, path: Path) -> StoreError:
    if isinstance(error, sqlite3.ProgrammingError):
        return StoreError(f"{path} was closed here ({error}).", "Adopt it again.")
    match getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusyError(
                f"The application has held {path} for longer than {BUSY_S:.0f} s.",
                "Try again; an application in WAL mode (`PRAGMA journal_mode = WAL`) holds up "
                "no reader.",
            )
        case sqlite3.SQLITE_NOTADB:
            return ForeignStoreError(
                f"{path} is not an SQLite database.", "Name the application's SQLite file."
            )
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StoreReadOnlyError(
                f"{path} cannot be opened for reading ({error}).",
                "Check the permissions of the file; one in WAL mode, or one that its application "
                "left in the middle of a write, needs a folder that can be written.",
            )
    return StoreError(
        f"{path} could not be read: {error}.", "Check the file with its own application."
    )
