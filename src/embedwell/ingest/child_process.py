"""The parent's end of a child that extracts: starts it, watches it, kills it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Literal, cast

import psutil

from embedwell.core.errors import ExtractorStartError
from embedwell.core.pipes import receive, send
from embedwell.ingest import child_wire as wire
from embedwell.ingest.extracted import Extracted

PROGRAM: tuple[str, ...] = (sys.executable, "-P", "-m", "embedwell.ingest.child")

_LOOK_S = 0.02
_START_S = 60.0
_GRACE_S = 1.0
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows

Verdict = Literal["", "time", "memory", "cancelled"]


@dataclass(frozen=True)
class Limits:
    """What the extraction of one file may take.

    Attributes:
        timeout_s: Seconds.
        memory_bytes: Resident memory of the child, of which it needs 60 MB itself.
    """

    timeout_s: float = 60.0
    memory_bytes: int = 512 << 20


class DiedError(Exception):
    """The child ended in the middle of a job.

    Attributes:
        verdict: Why it was killed; empty where it ended by itself.
        status: Its exit status; that of a signal is negative.
        peak_bytes: The most memory that it was seen with.
    """

    def __init__(self, verdict: Verdict, status: int, peak_bytes: int) -> None:
        super().__init__(verdict, status, peak_bytes)
        self.verdict = verdict
        self.status = status
        self.peak_bytes = peak_bytes


class ChildProcess:
    """A running child. Jobs come from one thread at a time; a second one watches.

    Args:
        limits: Beyond which it is killed.
        cancelled: Once set, it is killed in the middle of a job.

    Raises:
        ExtractorStartError: It does not start.
    """

    def __init__(self, limits: Limits, cancelled: threading.Event) -> None:
        self._limits = limits
        self._cancelled = cancelled
        self._lock = threading.Lock()  # between the end of a job and a verdict on it
        self._over = threading.Event()
        self._is_busy = True  # with its start
        self._deadline = time.monotonic() + _START_S
        self._verdict: Verdict = ""
        self._peak_bytes = 0
        self.n_jobs = 0
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            (*PROGRAM, str(limits.memory_bytes)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=_NO_WINDOW,
        )
        self._watcher = threading.Thread(target=self._watch, name="extract-watch", daemon=True)
        self._watcher.start()
        try:
            receive(cast("BinaryIO", self._process.stdout))
        except EOFError:
            raise self._did_not_start() from None
        finally:
            self._idle()
        self._at_start_bytes = self._rss()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_worn(self) -> bool:
        """Whether it is better replaced: judged already, or grown so that a file has less."""
        grown_bytes = self._rss() - self._at_start_bytes
        return bool(self._verdict) or grown_bytes > self._limits.memory_bytes // 4

    def ask(self, job: wire.Job, data: bytes) -> wire.Answer | Extracted:
        """Have it extract; waits without holding the interpreter's lock.

        Raises:
            DiedError: It crashed, or was killed at a limit; it is no more.
        """
        with self._lock:
            self._deadline = time.monotonic() + self._limits.timeout_s
            self._peak_bytes = 0
            self._is_busy = True
        try:
            for message in (wire.encode(job), data):
                send(cast("BinaryIO", self._process.stdin), message)
            answer = wire.decode_answer(receive(cast("BinaryIO", self._process.stdout)))
        except (OSError, EOFError, ValueError):
            self.close()
            raise DiedError(self._verdict, self._process.returncode, self._peak_bytes) from None
        finally:
            self._idle()
        self.n_jobs += 1
        return answer

    def close(self) -> None:
        """Let it end, or kill it where it is in the middle of a job, and wait until it has gone."""
        if self._is_busy:
            self._process.kill()
        self._over.set()
        with suppress(OSError):  # what was not sent cannot be any more
            cast("BinaryIO", self._process.stdin).close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        cast("BinaryIO", self._process.stdout).close()
        self._watcher.join()

    def _did_not_start(self) -> Exception:
        self.close()
        if self._verdict == "cancelled":
            return DiedError(self._verdict, self._process.returncode, 0)
        return ExtractorStartError(self._process.returncode, " ".join(PROGRAM[1:]))

    def _idle(self) -> None:
        with self._lock:
            self._is_busy = False

    def _watch(self) -> None:
        while not self._over.is_set() and self._process.poll() is None:
            rss_bytes = self._rss()
            with self._lock:
                self._peak_bytes = max(self._peak_bytes, rss_bytes)
                self._verdict = self._judged(rss_bytes) if self._is_busy else ""
                if self._verdict:
                    self._process.kill()
                    return
            self._over.wait(_LOOK_S)

    def _judged(self, rss_bytes: int) -> Verdict:
        if self._cancelled.is_set():
            return "cancelled"
        if time.monotonic() > self._deadline:
            return "time"
        return "memory" if rss_bytes > self._limits.memory_bytes else ""

    def _rss(self) -> int:
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:  # it has ended
            return 0
