"""A lock between processes that the system itself releases when its holder dies."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from embedwell.core.errors import StoreBusyError

if sys.platform == "win32":
    import msvcrt

    # Windows locks byte ranges and forbids others to read them: lock one far past the text.
    _BYTE = 1 << 20

    def _acquire(descriptor: int) -> None:
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _release(descriptor: int) -> None:
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _acquire(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _release(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def locked(path: Path, purpose: str) -> Iterator[None]:
    """Hold a lock file.

    The file stays (removing it would let two holders in); what it says is only for people.

    Args:
        path: The lock file; made if missing.
        purpose: What the lock keeps others from, as in "writing to index.db".

    Raises:
        StoreBusyError: Another holder, in this process or another, has it.
        OSError: The file cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            _acquire(descriptor)
        except (BlockingIOError, PermissionError) as error:
            raise StoreBusyError(
                f"Another process ({_holder(descriptor)}) is {purpose}.",
                "Wait until it is done, or stop it; what it has stored stays.",
            ) from error
        try:
            _sign(descriptor)
            yield
        finally:
            _release(descriptor)
    finally:
        os.close(descriptor)


def _sign(descriptor: int) -> None:
    with suppress(OSError):  # a full disk must not keep anyone from the lock
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())


def _holder(descriptor: int) -> str:
    with suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        if text := os.read(descriptor, 200).decode(errors="replace"):
            return text
    return "unknown"
