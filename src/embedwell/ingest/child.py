"""A program that extracts files which may be hostile; `child_process.py` runs it.

Standard input: a `Job`, its bytes, the next one. Standard output: an empty message once it is
ready, then an answer to each job. Its argument is the most memory that it may take, in bytes. It
ends when standard input does: with whoever started it, however that ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from queue import SimpleQueue
from typing import BinaryIO

# Before numpy is loaded: each thread of its library takes memory that counts against the limit.
os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1"))

from embedwell.core.errors import ExtractionError
from embedwell.core.pipes import die_before_parent, receive, send, take_standard_pipes
from embedwell.ingest import child_wire as wire
from embedwell.ingest.decode import mended
from embedwell.ingest.extract import extract, extract_text

Jobs = SimpleQueue[tuple[wire.Job, bytes] | None]

_GRACE_S = 0.5
_ALARM_AFTER_S = 5.0  # behind the parent's own limit: for when the parent is no more


def main() -> int:
    """Extract until nobody asks any more; returns the exit status."""
    _leave_signals_to_parent()
    source, sink = take_standard_pipes()
    _limit(int(sys.argv[1]))
    jobs: Jobs = SimpleQueue()
    threading.Thread(target=_read, args=(source, jobs), daemon=True).start()
    send(sink, b"")
    while (job := jobs.get()) is not None:
        _set_alarm(job[0].timeout_s + _ALARM_AFTER_S)
        answer = _answer(*job)
        del job  # before the next one is awaited: it may be large
        with suppress(BrokenPipeError):  # then there is no next one
            send(sink, answer)
        _set_alarm(0)
    return 0


def _leave_signals_to_parent() -> None:
    """Ctrl-C and a manager's stop reach the whole group: the parent finishes and lets go."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _limit(memory_bytes: int) -> None:
    """Have the system refuse more memory, where it can; the parent watches everywhere."""
    die_before_parent()
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # All private writable memory on Linux. Not the address space: libraries and the stacks
        # of threads reserve much of that and use little.
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def _set_alarm(seconds: float) -> None:
    """Be killed after some time, even in a library that never comes back to Python."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _read(source: BinaryIO, jobs: Jobs) -> None:
    """Beside the work, so that the end of the parent is noticed in the middle of it."""
    try:
        while True:
            job = wire.decode_job(receive(source))
            jobs.put((job, receive(source, sys.maxsize)))
    except (EOFError, MemoryError):
        jobs.put(None)
        time.sleep(_GRACE_S)
    finally:  # also where a parent of another version says what is not understood
        os._exit(1)


def _answer(job: wire.Job, data: bytes) -> bytes:
    try:
        if job.is_text:
            extracted = extract_text(data.decode("utf-8", "surrogatepass"), job.format)
        else:
            extracted = extract(data, job.format)
        return wire.encode(wire.found(extracted))
    except ExtractionError as error:
        return wire.encode(wire.Refused(mended(error.problem), mended(error.remedy)))
    except MemoryError:
        return wire.encode(wire.NoMemory())
    except Exception as error:  # noqa: BLE001 - whatever a hostile file makes a library raise
        return wire.encode(wire.Failed(mended(f"{type(error).__name__}: {error}")[:500]))


if __name__ == "__main__":
    sys.exit(main())
