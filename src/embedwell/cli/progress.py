"""Progress on a terminal, and Ctrl-C that stops at a safe point."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from embedwell.core.events import Progress, Watch

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

# Nothing is shown for what is over before people would wonder.
_SILENT_S = 1.0


@contextmanager
def watching() -> Iterator[Watch]:
    """A watch that draws bars on a terminal and turns the first Ctrl-C into a wish to stop.

    The second Ctrl-C stops at once, as it does everywhere.
    """
    display = _Display()
    watch = Watch(display.show if sys.stderr.isatty() else Watch().listener)

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stderr.write("\nStopping at the next safe point; Ctrl-C again stops at once.\n")
        watch.cancelled.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield watch
    finally:
        signal.signal(signal.SIGINT, before)
        display.close()


class _Display:
    """One bar a stage, drawn once a stage lasts."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def show(self, progress: Progress) -> None:
        began = self._began.setdefault(progress.stage, time.monotonic())
        if progress.stage not in self._tasks:
            if time.monotonic() - began < _SILENT_S:
                return
            self._tasks[progress.stage] = self._open().add_task(
                progress.stage, total=progress.total, unit=progress.unit
            )
        self._open().update(
            self._tasks[progress.stage], completed=progress.done, total=progress.total
        )

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _open(self) -> Bars:
        if self._bars is None:
            from rich import progress as rich_progress
            from rich.console import Console

            self._bars = rich_progress.Progress(
                rich_progress.TextColumn("{task.description}"),
                rich_progress.BarColumn(),
                rich_progress.TextColumn("{task.percentage:>3.0f} % of {task.fields[unit]}"),
                rich_progress.TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bars.start()
        return self._bars
