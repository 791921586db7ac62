"""Read a file whole, at one moment."""

from __future__ import annotations

import os
from pathlib import Path

from embedwell.core.errors import ExtractionError

_TRIES = 3


def read_stable(path: Path) -> tuple[bytes, os.stat_result]:
    """The bytes of a file, and its status when they were read.

    Raises:
        ExtractionError: Somebody kept writing to it.
        OSError: It cannot be read.
    """
    for _ in range(_TRIES):
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            data = file.read()
            after = os.fstat(file.fileno())
        if before.st_mtime_ns == after.st_mtime_ns and len(data) == after.st_size:
            return data, after
    raise ExtractionError(
        f"{path.name} changed each of the {_TRIES} times that it was read.",
        "It stays as it was in the index; index again when nobody writes to it.",
    )
