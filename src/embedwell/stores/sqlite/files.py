"""Opening an index in the right mode, and making one whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from embedwell.core.errors import (
    StoreError,
    StoreFullError,
    StoreNotFoundError,
    StoreReadOnlyError,
)
from embedwell.stores.sqlite import faults, schema, statements
from embedwell.stores.sqlite.database import Database, connect


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
        schema.bring_up_to_date(database)
    except BaseException:
        database.close()
        raise
    return database


def create_database(path: Path) -> Database:
    """Make a file with the newest schema; its caller moves it into place when it is filled.

    It has no log yet: what a full disk keeps from being moved out of a log is said by nobody.

    Raises:
        StoreReadOnlyError: The folder cannot be written.
        StoreFullError: There is no room.
    """
    database = connect(path, "rwc", read_only=False)
    try:
        database.rows(statements.PAGE_SIZE)
        schema.make(database)
        database.rows(statements.FOREIGN_KEYS)
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A name beside a new file's; what is written there takes the place when all went well.

    Raises:
        StoreError: There is a file at that place already.
    """
    # A name that nobody else uses: two may be writing to one place, and the first to end wins.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        _check_free(path)
        yield draft
        _check_free(path)
        _flush(draft)
        draft.rename(path)
        _flush(path.parent)
    finally:
        _remove(draft)


def _check_free(path: Path) -> None:
    if path.exists():
        raise StoreError(f"There is a file at {path} already.", "Open it, or name another file.")


def _flush(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk itself."""
    with suppress(OSError) if path.is_dir() else nullcontext():  # some systems know no such thing
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(draft: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            Path(f"{draft}{suffix}").unlink()


def _check_identity(path: Path) -> None:
    """Look at the header before SQLite touches anything that may be another program's.

    By SQLite, in the mode that neither locks nor writes: where a process that has the file open
    were to open and close it in any other way, the system would drop SQLite's locks on it, and
    another process could take the log away from under us.
    """
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise faults.foreign(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreNotFoundError(
            f"There is no index at {path}.", "Make one with `embedwell index`."
        ) from error
    except OSError as error:
        raise faults.file_error(error, path) from error
    database = connect(path, "ro&immutable=1", read_only=True)
    try:
        database.rows(statements.ANY_LENGTH)
        number = database.value(statements.APPLICATION_ID)
    finally:
        database.close()
    if number != schema.APPLICATION_ID:
        raise faults.foreign(path)


def _open_to_write(path: Path) -> Database:
    database = connect(path, "rw", read_only=False)
    try:
        database.rows(statements.FOREIGN_KEYS)
        database.rows(statements.NO_SECURE_DELETE)
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
    database = connect(path, "ro", read_only=True)
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
        return connect(path, "ro&immutable=1", read_only=True)
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
