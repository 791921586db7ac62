"""Folders for half-done work: gone when the work ends, swept up later if the process was killed.

A scratch folder `<cache>/tmp/<id>` is held by a lock on `<cache>/tmp/<id>.lock`. The system lets
go of a lock when its process dies, however it dies, so a folder whose lock is free is rubbish.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from embedwell.core.errors import ModelCacheError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EIO}

_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}  # as some network file systems say


class Scratch:
    """A context manager for temporary folders on the cache's own disk, made when first needed.

    Args:
        cache: The folder of all model files and artifacts.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._home = cache / "tmp"
        self._root: Path | None = None
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            _release(self._lock, _lock_of(self._root))

    def new(self, name: str) -> Path:
        """An empty folder.

        Raises:
            ModelCacheError: The cache is full or cannot be written.
        """
        with writing(self._cache):
            if self._root is None:
                self._home.mkdir(parents=True, exist_ok=True)
                sweep(self._home)
                self._root, self._lock = _claim(self._home)
            folder = self._root / f"{name}-{os.urandom(4).hex()}"
            folder.mkdir()
        return folder

    def holds(self, path: Path) -> bool:
        """Whether a path lies in this scratch folder, so that the file may be moved away."""
        return self._root is not None and path.is_relative_to(self._root)


@contextlib.contextmanager
def writing(cache: Path) -> Iterator[None]:
    """Say plainly when the cache cannot take what is written in this block.

    Raises:
        ModelCacheError: The disk is full, or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ModelCacheError(
                f"The disk that holds the model folder {cache} is full.",
                "Free some space, or choose another folder with the setting `cache`.",
            ) from error
        if error.errno not in _REFUSED:
            raise
        raise ModelCacheError(
            f"The model folder {cache} cannot be written ({error.strerror or error}).",
            "Make it writable, or choose another folder with the setting `cache`.",
        ) from error


def sweep(home: Path) -> None:
    """Remove the scratch folders that killed processes left behind."""
    for folder in {path.with_suffix("") for path in home.iterdir()}:
        with contextlib.suppress(OSError):  # another process may be sweeping the same folder
            lock = _take(_lock_of(folder))
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                _release(lock, _lock_of(folder))


def _claim(home: Path) -> tuple[Path, IO[bytes] | None]:
    """A new folder and the lock that says it is in use; without one where none can be had."""
    while True:
        folder = home / os.urandom(6).hex()
        try:
            lock = _take(_lock_of(folder))
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            folder.mkdir()
            return folder, None  # cannot be swept either: that takes the lock first
        if lock is not None:
            folder.mkdir()
            return folder, lock


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def _take(path: Path) -> IO[bytes] | None:
    """An open, locked file; None while another process holds it."""
    if os.name == "nt":
        with contextlib.suppress(FileNotFoundError):
            try:
                path.unlink()  # Windows refuses this while any process has the file open
            except PermissionError:
                return None
        return path.open("wb")
    import fcntl  # noqa: PLC0415 - does not exist on Windows

    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        if isinstance(error, BlockingIOError):
            return None
        raise
    if os.fstat(lock.fileno()).st_nlink == 0:  # a sweeper removed it between open and lock
        lock.close()
        return None
    return lock


def _release(lock: IO[bytes] | None, path: Path) -> None:
    if os.name == "nt" and lock is not None:
        lock.close()
    with contextlib.suppress(OSError):
        path.unlink()
    if lock is not None:
        lock.close()
