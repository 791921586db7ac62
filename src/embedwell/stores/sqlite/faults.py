"""What sqlite3 and the file system say, as embedwell's errors."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from embedwell.core.errors import (
    ForeignStoreError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
)

_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
_PRIMARY = 0xFF  # extended result codes keep the primary one in their low byte


@contextmanager
def faults_named(path: Path) -> Iterator[None]:
    """Let what goes wrong inside come out as `StoreError` and its kinds.

    Raises:
        StoreError: Whatever sqlite3 or the system reported about the file.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise database_error(error, path) from error
    except UnicodeEncodeError as error:
        raise StoreError(
            f"A text or name has characters that are not valid Unicode ({error}).",
            "Replace lone surrogates before storing, as `text.encode(errors='replace')` does.",
        ) from error
    except OSError as error:
        raise file_error(error, path) from error


def database_error(error: sqlite3.Error, path: Path) -> StoreError:
    """The store error for one of sqlite3's."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:  # no room for the file that readers share
        return full(path)
    if make := _BY_CODE.get(code & _PRIMARY):
        return make(path)
    if code & _PRIMARY == sqlite3.SQLITE_CORRUPT:
        return damaged(path, str(error))
    if "closed database" in str(error):
        return StoreError(f"The index {path} was closed here.", "Open it again.")
    return StoreError(
        f"The index {path} failed: {error}.", "Run `embedwell doctor`; nothing half-done was kept."
    )


def file_error(error: OSError, path: Path) -> StoreError:
    """The store error for one of the file system's."""
    if error.errno in _FULL:
        return full(path)
    if error.errno in _READ_ONLY:
        return read_only(path)
    return StoreError(
        f"The index {path} failed: {error}.", "Check the file, its folder and the disk."
    )


def busy(path: Path) -> StoreBusyError:
    """Another process wrote for too long."""
    return StoreBusyError(
        f"Another process has been writing to {path} for longer than we wait.",
        "Try again when it is done; what it has stored stays.",
    )


def full(path: Path) -> StoreFullError:
    """No room left."""
    return StoreFullError(
        f"The disk of {path} is full; what was stored before is kept.",
        "Free some space and run the same again: it goes on where it stopped.",
    )


def read_only(path: Path) -> StoreReadOnlyError:
    """File or folder not writable, or not readable."""
    return StoreReadOnlyError(
        f"The index {path} or its folder cannot be opened for this.",
        "Check their permissions, or name another place with `--db FILE`.",
    )


def foreign(path: Path) -> ForeignStoreError:
    """Not ours."""
    return ForeignStoreError(
        f"{path} is not an embedwell index.", "Name another file with `--db FILE`; it is untouched."
    )


def damaged(path: Path, detail: str) -> StoreError:
    """Ours, but broken."""
    return StoreError(
        f"The index {path} is damaged ({detail}).",
        "Restore a backup, or delete the file and index again: it holds copies only.",
    )


_BY_CODE: dict[int, Callable[[Path], StoreError]] = {
    sqlite3.SQLITE_BUSY: busy,
    sqlite3.SQLITE_LOCKED: busy,
    sqlite3.SQLITE_FULL: full,
    sqlite3.SQLITE_READONLY: read_only,
    sqlite3.SQLITE_PERM: read_only,
    sqlite3.SQLITE_CANTOPEN: read_only,
    sqlite3.SQLITE_NOTADB: foreign,
}
