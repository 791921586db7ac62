"""What models were measured to need on this machine, kept for the next process."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from tempfile import NamedTemporaryFile

FILE = "memory.json"
_MOST_ROWS = 256

_log = logging.getLogger(__name__)


class Remembered:
    """Bytes by the key of an artifact, in a small JSON file.

    The file is a help and nothing more: one that is damaged or cannot be written is done without.

    Args:
        file: Where; None remembers for this process only.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._rows: dict[str, int] | None = None

    def get(self, key: str) -> int | None:
        """What was remembered; None if nothing was."""
        with self._lock:
            return self._known().get(key)

    def put(self, key: str, n_bytes: int) -> None:
        """Remember, in place of what was known."""
        with self._lock:
            known = self._known()
            if known.get(key) == n_bytes:
                return
            rows = {**self._read(), **known}  # others may have written meanwhile
            rows.pop(key, None)
            rows[key] = n_bytes
            self._rows = dict(list(rows.items())[-_MOST_ROWS:])
            self._write(self._rows)

    def _known(self) -> dict[str, int]:
        if self._rows is None:
            self._rows = self._read()
        return self._rows

    def _read(self) -> dict[str, int]:
        try:
            found = json.loads(self._file.read_text("utf-8")) if self._file else {}
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {
            key: value for key, value in found.items() if type(value) is int and 0 < value < 1 << 50
        }

    def _write(self, rows: dict[str, int]) -> None:
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile("w", dir=self._file.parent, delete=False) as written:
                json.dump(rows, written)
            os.replace(written.name, self._file)  # noqa: PTH105 - both are names
        except OSError as error:
            _log.debug("%s cannot be written: %s", self._file, error)
