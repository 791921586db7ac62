"""Memory of processes read from outside: what they share counted once, or every 10 ms.

Linux only. PSS (proportional set size) counts a page that n processes share as 1/n of a page in
each, so that the sum over processes is what they take of the machine (`proc_pid_smaps(5)`).
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
RSS_EVERY_S = 0.01
PSS_EVERY_S = 0.2  # reading takes milliseconds of a large process

# What is mapped, by the first pattern that its path contains; memory that is no file's is "heap".
KINDS = (
    ("the model's weights", r"/artifacts/|model\.onnx"),
    ("onnxruntime's code", r"onnxruntime"),
    ("tokenizers' code", r"tokenizers"),
    ("numpy's code", r"/numpy"),
    ("torch's code", r"/torch/"),
    ("the interpreter's code", r"/bin/python|/libpython|/lib-dynload/"),
    ("other libraries' code", r"\.so"),
)
HEADER = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)$")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Footprint:
    """Memory of one process or of several together, in MB (10^6 bytes).

    Attributes:
        pss_mb: Its share: its own pages, and its part of those that others map as well.
        private_mb: Pages that it wrote and nobody else maps: its heap, its stacks, changed data.
            Clean pages of files are left out, since they are private only while nobody else runs
            the same libraries.
        rss_mb: All pages that it maps; shared ones counted whole.
    """

    pss_mb: float
    private_mb: float
    rss_mb: float


def footprint(pid: int) -> Footprint:
    """Memory of a process; zeros once it has ended, or where `/proc` does not tell."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return Footprint(0, 0, 0)
    kib = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines[1:])}
    return Footprint(*(_mb(kib[name] * 1024) for name in ("Pss", "Private_Dirty", "Rss")))


def together(pids: Sequence[int]) -> Footprint:
    """Memory of several processes, added up."""
    return added([footprint(pid) for pid in pids])


def added(each: Sequence[Footprint]) -> Footprint:
    """Several readings, added up."""
    rows = [asdict(one) for one in each]
    return Footprint(**{name: round(sum(row[name] for row in rows), 1) for name in rows[0]})


def by_kind(pid: int) -> dict[str, float]:
    """PSS of a process in MB by what is mapped, largest first."""
    return kinds_of(Path(f"/proc/{pid}/smaps").read_text().splitlines())


def kinds_of(smaps: Sequence[str]) -> dict[str, float]:
    """PSS in MB by what is mapped, from the lines of `/proc/PID/smaps`."""
    found: dict[str, float] = {}
    kind = ""
    for line in smaps:
        if header := HEADER.match(line):
            kind = _kind(header[1])
        elif line.startswith("Pss:"):
            found[kind] = found.get(kind, 0) + int(line.split()[1]) * 1024
    return {name: _mb(n) for name, n in sorted(found.items(), key=lambda item: -item[1])}


def _kind(path: str) -> str:
    if not path.startswith("/"):
        return "heap and stacks"
    return next((name for name, pattern in KINDS if re.search(pattern, path)), "other files")


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has taken, its own and the system's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


class Sampler(Generic[Found]):
    """Reads something again and again in a thread while the `with` block runs.

    Args:
        read: What to read.
        every_s: Seconds between two readings.
    """

    def __init__(self, read: Callable[[], Found], every_s: float) -> None:
        self.found: list[Found] = []
        self._read = read
        self._every_s = every_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._done.is_set():
            self.found.append(self._read())
            due = max(due + self._every_s, time.monotonic())
            self._done.wait(due - time.monotonic())


def _mb(n_bytes: float) -> float:
    return round(n_bytes / 1e6, 1)
