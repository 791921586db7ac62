"""Read a file whole, at one moment."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from embedwell.core.errors import ExtractionError

_TRIES = 3
# Opening a pipe would wait for whoever writes to it; Windows has neither flag nor such files, and
# translates line ends unless told not to.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_stable(path: Path, max_bytes: int) -> tuple[bytes, os.stat_result]:
    """The bytes of a file, and its status when they were read.

    Args:
        path: Where it is.
        max_bytes: Of a larger one nothing is kept, however fast it grows.

    Raises:
        ExtractionError: Somebody kept writing to it, it is too large, or no file of bytes.
        OSError: It cannot be read.
    """
    for _ in range(_TRIES):
        with os.fdopen(os.open(path, _FLAGS), "rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise ExtractionError(f"{path.name} is no regular file.", "Leave it out.")
            data = file.read(max_bytes + 1) if before.st_size <= max_bytes else b""
            after = os.fstat(file.fileno())
        if max(len(data), after.st_size) > max_bytes:
            raise ExtractionError(
                f"{path.name} has grown beyond the limit of {max_bytes:,} bytes.",
                "Leave it out, or raise `max_file`.",
            )
        if before.st_mtime_ns == after.st_mtime_ns and len(data) == after.st_size:
            return data, after
    raise ExtractionError(
        f"{path.name} changed each of the {_TRIES} times that it was read.",
        "It stays as it was in the index; index again when nobody writes to it.",
    )
