"""A download in a process of its own: it can be ended at any moment, whatever it waits for."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from embedwell.core.events import Watch
from embedwell.models.scratch import writing

_POLL_S = 0.05


@dataclass(frozen=True)
class Child:
    """A program and the limits of our patience.

    Attributes:
        command: Program and arguments.
        log: Where its output goes.
        silence_s: It is ended after this long without a sign of life.
        request: What it is given on standard input, as one line. Standard input stays open for
            as long as its work is wanted: the program must end when it is closed.
        grace_s: It is killed when it has not ended this long after that.
    """

    command: tuple[str, ...]
    log: Path
    silence_s: float
    request: str = ""
    grace_s: float = 2.0

    def run(self, activity: Callable[[], int], watch: Watch) -> int | None:
        """Run it to its end.

        Args:
            activity: Called at every look; a changed number is a sign of life.
            watch: Asked at every look whether to stop.

        Returns:
            Its exit status; None where it was silent for too long and was ended.

        Raises:
            TaskCancelledError: The watch asked to stop; the program was ended.
        """
        with writing(self.log.parent):
            log = self.log.open("wb")
        with (
            log,
            subprocess.Popen(  # noqa: S603 - our own interpreter, arguments from the catalogue
                self.command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            try:
                self._ask(process)
                return self._follow(process, activity, watch)
            finally:
                _end(process, self.grace_s)

    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text("utf-8", errors="replace")

    def _ask(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            with contextlib.suppress(OSError):  # it ended already; its output says why
                process.stdin.write(f"{self.request}\n".encode())

    def _follow(
        self, process: subprocess.Popen[bytes], activity: Callable[[], int], watch: Watch
    ) -> int | None:
        seen, since = 0, time.monotonic()
        while True:
            watch.check("download")
            status = process.poll()
            if status is not None:
                return status
            now = activity()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > self.silence_s:
                return None
            time.sleep(_POLL_S)


def _end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask by closing its standard input, then insist."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder in which somebody is at work."""
    total = 0
    for place, _, names in os.walk(folder):  # passes over folders that go away meanwhile
        for name in names:
            with contextlib.suppress(OSError):  # the same for files
                total += Path(place, name).stat().st_size
    return total
