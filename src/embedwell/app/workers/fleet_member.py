"""One worker of a fleet: its process, what that says, and when it is started anew."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from embedwell.app.workers.fleet_rules import LONG_S, Ended

Start = Callable[[], "subprocess.Popen[str]"]


class Member:
    """A place in a fleet. Belongs to one thread.

    Attributes:
        is_done: Whether nobody is wanted at this place any more.

    Args:
        number: For people.
        start: Starts a process with pipes for its input and output.
    """

    def __init__(self, number: int, start: Start) -> None:
        self.is_done = False
        self._number = number
        self._start = start
        self._n_quick = 0
        self._start_at = 0.0
        self._process: subprocess.Popen[str] | None = None
        self._begin()

    def poll(self) -> Ended | None:
        """How it ended, once it has; starts it anew when that is due."""
        if self.is_done:
            return None
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self._begin()
            return None
        return None if self._process.poll() is None else self._ended()

    def start_in(self, after_s: float) -> None:
        """Start it anew after some seconds."""
        self._start_at = time.monotonic() + after_s

    def ask_to_end(self) -> None:
        """Close its input, which every system can."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def wait(self, longest_s: float) -> Ended | None:
        """Wait for its end, and make it end if that takes too long."""
        if self._process is None:
            return None
        try:
            self._process.wait(max(longest_s, 0.0))
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._ended()

    def _begin(self) -> None:
        self._began_at = time.monotonic()
        self._said: dict[str, Mapping[str, object]] = {}
        process = self._process = self._start()
        self._listener = threading.Thread(
            target=self._listen, args=(process,), name=f"worker {self._number}", daemon=True
        )
        self._listener.start()

    def _ended(self) -> Ended:
        process = self._process
        assert process is not None  # noqa: S101 - whoever calls this has looked
        code = process.wait()
        self._listener.join()
        self.ask_to_end()
        self._process = None
        is_quick = time.monotonic() - self._began_at < LONG_S
        self._n_quick = self._n_quick + 1 if is_quick else 0
        said = self._said
        return Ended(code, said.get("error", {}), said.get("report", {}), self._n_quick)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """Keep what it says for programs, and pass on what it says for people."""
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        with process.stdout as lines:
            for line in lines:
                if (said := _object(line)) is not None:
                    self._said.update(said)
                else:
                    sys.stderr.write(f"worker {self._number}: {line}")


def _object(line: str) -> Mapping[str, Mapping[str, object]] | None:
    """An object of JSON with nothing but objects in it: how workers tell errors and reports."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if all(isinstance(part, dict) for part in found.values()) else None
