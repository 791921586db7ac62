"""The parent's end of the process that runs llama.cpp: starts it, watches it, says how it died."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from typing import BinaryIO, cast

from embedwell.core.device import count_helper
from embedwell.core.pipes import receive, send
from embedwell.engines.llamacpp_child import DONE, FAILED, About, Start

PROGRAM: tuple[str, ...] = (sys.executable, "-P", "-m", "embedwell.engines.llamacpp_child")

_START_S = 300.0  # a file of gigabytes may come from a slow disk
_GRACE_S = 1.0
_LOOK_S = 1.0
_MOST_LOG_CHARACTERS = 500
_HANGS = "it did not answer within {:.0f} s and was killed"
# The terminal's Ctrl-C is for us alone: the child ends with us, after what it computes.
_OWN_GROUP = 0 if sys.platform != "win32" else None
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows


class DiedError(Exception):
    """The process ended in the middle of something; the message says how.

    Attributes:
        signal: The signal's name, such as `SIGILL`; empty where there was none.
        killed: Whether somebody else killed it: so does a system that has no more memory.
    """

    def __init__(self, how: str, name: str, *, killed: bool) -> None:
        super().__init__(how)
        self.signal = name
        self.killed = killed


class RefusedError(Exception):
    """It lives, and says why it did not do what it was asked."""


class Process:
    """A running child; used by one thread at a time. A second one kills it where it hangs.

    Args:
        start: What it loads.

    Raises:
        DiedError: It ended while it loaded.
        RefusedError: The file does not load.
        OSError: The system starts no process.
    """

    def __init__(self, start: Start) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._busy = threading.Event()
        self._over = threading.Event()
        self._hangs = ""
        self._deadline = 0.0
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            PROGRAM,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            process_group=_OWN_GROUP,
            creationflags=_NO_WINDOW,
        )
        count_helper(self._process.pid, runs=True)
        threading.Thread(target=self._watch, name="llamacpp-watch", daemon=True).start()
        try:
            message = json.dumps(asdict(start)).encode()
            self.about = About(**json.loads(self.ask(message, _START_S)))
        except RefusedError as error:
            said = self._said()
            self.close()
            raise RefusedError(f"{error}{said}") from None
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_over(self) -> bool:
        """Whether it was closed, or died while it was asked."""
        return self._over.is_set()

    @property
    def has_ended(self) -> bool:
        """Whether it is no more, whoever ended it."""
        return self._process.poll() is not None

    def ask(self, message: bytes, most_s: float) -> bytes:
        """Its answer.

        Args:
            message: What to send.
            most_s: Seconds after which it is killed.

        Raises:
            DiedError: It ended, or was killed; it is no more.
            RefusedError: It did not do it.
        """
        self._hangs = _HANGS.format(most_s)
        self._deadline = time.monotonic() + most_s
        self._busy.set()
        try:
            send(cast("BinaryIO", self._process.stdin), message)
            answer = receive(cast("BinaryIO", self._process.stdout))
        except (OSError, EOFError, ValueError):
            raise self._died() from None
        except BaseException:  # interrupted: its answer would be taken for the next one's
            self.close()
            raise
        finally:
            self._busy.clear()
        if answer[:1] == DONE:
            return answer[1:]
        if answer[:1] == FAILED:
            raise RefusedError(answer[1:].decode("utf-8", "replace"))
        self.close()
        raise DiedError("it answered nonsense", "", killed=False)

    def close(self) -> None:
        """End it, at once where it computes, and wait until it has gone."""
        if self._over.is_set():
            return
        if self._busy.is_set():
            self._process.kill()
        self._over.set()
        self._busy.set()  # the thread that watches ends
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was not sent cannot be any more
                cast("BinaryIO", pipe).close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        count_helper(self._process.pid, runs=False)
        self._log.close()

    def _died(self) -> DiedError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        status = self._process.poll()
        said = self._said()
        killed_by_us = self._deadline == 0.0
        self._busy.clear()
        self.close()
        if killed_by_us:
            return DiedError(self._hangs + said, "", killed=False)
        name = signal_name(status)
        if name:
            return DiedError(f"it died of {name}{said}", name, killed=name == "SIGKILL")
        return DiedError(f"it ended with status {status}{said}", "", killed=False)

    def _said(self) -> str:
        """The end of what it wrote to its standard error."""
        self._log.seek(0, 2)
        self._log.seek(max(0, self._log.tell() - _MOST_LOG_CHARACTERS))
        lines = self._log.read().decode("utf-8", "replace").split()
        return f"; it said: {' '.join(lines)}" if lines else ""

    def _watch(self) -> None:
        while not self._over.is_set():
            self._busy.wait()
            if self._over.is_set():
                return
            if time.monotonic() > self._deadline:
                self._deadline = 0.0
                self._process.kill()
                return
            time.sleep(_LOOK_S)


def signal_name(status: int | None) -> str:
    """The signal that a process died of, by its exit status; empty where it was none."""
    if status is None or status >= 0:
        return ""
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
