"""Extraction that a hostile file cannot harm: in a child with limits, or where nothing can happen.

Plain text is decoded and cut here: that takes time in proportion to its length (at most 0.5 s for
256 KiB of whatever was tried). All other files go to a child, source code as well: 32 KiB of
`a=>a=>…` keep the grammar of C busy for minutes, `a<b<…` takes that of Java 2.6 GB.
"""

from __future__ import annotations

import signal
import threading
from typing import Self

from embedwell.core.errors import ExtractionError, TaskCancelledError
from embedwell.ingest import child_wire as wire
from embedwell.ingest.child_process import ChildProcess, DiedError, Limits
from embedwell.ingest.extract import extract, extract_text
from embedwell.ingest.extracted import Extracted
from embedwell.ingest.formats import Format
from embedwell.ingest.sources.protocol import Content

__all__ = ["LimitedExtractor", "Limits"]

MAX_HERE = 256 << 10
"""Bytes or characters of plain text that is extracted in this process."""

_REMEDY = "Leave it out, or mend it; `extraction_{}` raises the limit."
_MIB = 1 << 20


class LimitedExtractor:
    """Extracts in one child that lives long; safe to call from threads, one after another.

    The child is started when it is first needed, and anew after it crashed, was killed or has
    grown. A file that kills a child which others had used is tried once more in a fresh one, so
    that what becomes of it depends on nothing else.

    Args:
        limits: For each file.
        cancelled: Once set, a file that is being extracted is given up within a moment.
    """

    def __init__(self, limits: Limits, cancelled: threading.Event | None = None) -> None:
        self._limits = limits
        self._cancelled = cancelled or threading.Event()
        self._child: ChildProcess | None = None
        self._lock = threading.Lock()

    def __call__(self, content: Content) -> Extracted:
        """Extract a file or record.

        Raises:
            ExtractionError: It cannot be read, or not within the limits; the message says why.
            ExtractorStartError: No child can be started: that is not the file's fault.
            TaskCancelledError: It was asked to stop.
        """
        data, form = content.data, content.format
        if is_harmless(form, len(data)):
            return extract_text(data, form) if isinstance(data, str) else extract(data, form)
        raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        job = wire.Job(form, isinstance(data, str), self._limits.timeout_s)
        with self._lock:
            answer = self._asked(job, raw)
        if isinstance(answer, Extracted):
            return answer
        raise self._error(answer)

    def close(self) -> None:
        """End the child, if there is one. It may be called again afterwards."""
        with self._lock:
            self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _asked(self, job: wire.Job, data: bytes) -> wire.Answer | Extracted | DiedError:
        """What became of a job, the second time where the first may be another file's fault."""
        while True:
            try:
                child = self._child = self._child or ChildProcess(self._limits, self._cancelled)
                is_fresh = child.n_jobs == 0
                answer: wire.Answer | Extracted | DiedError = child.ask(job, data)
            except DiedError as error:
                if error.verdict == "cancelled":
                    self._drop()
                    raise TaskCancelledError("Extraction") from None
                answer = error
            is_hurt = isinstance(answer, DiedError | wire.NoMemory)
            if is_hurt or child.is_worn:
                self._drop()
            is_late = isinstance(answer, DiedError) and answer.verdict == "time"
            if not is_hurt or is_fresh or is_late:
                return answer

    def _drop(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _error(self, answer: wire.Answer | DiedError) -> ExtractionError:
        if isinstance(answer, wire.Refused):
            return ExtractionError(answer.problem, answer.remedy)
        if isinstance(answer, wire.Failed):
            return ExtractionError(f"Its extractor failed ({answer.reason}).", "Leave it out.")
        if isinstance(answer, DiedError):
            if answer.verdict == "time":
                problem = f"It took longer than {self._limits.timeout_s:g} s to extract."
                return ExtractionError(problem, _REMEDY.format("timeout_s"))
            # Native code that gets no more memory ends in its own ways.
            if answer.verdict != "memory" and answer.peak_bytes < self._limits.memory_bytes // 2:
                problem = f"Its extractor crashed ({_ending(answer.status)})."
                return ExtractionError(problem, "Leave it out, or mend it.")
        limit = f"{self._limits.memory_bytes / _MIB:,.0f} MiB"
        problem = f"Extracting it takes more than {limit} of memory."
        return ExtractionError(problem, _REMEDY.format("memory"))


def is_harmless(form: Format, size: int) -> bool:
    """Whether a content takes little whatever it holds: short, and plain text."""
    return form.extractor == "text" and form.segmenter != "code" and size <= MAX_HERE


def _ending(status: int) -> str:
    if -status in {signal.SIGABRT, 9}:  # by itself, or the system did: seen too late what it had
        return "it was ended, as for want of memory"
    return f"signal {-status}" if status < 0 else f"exit status {status}"
