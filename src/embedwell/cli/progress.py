"""Progress on a terminal, and Ctrl-C that stops at a safe point."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING

from embedwell.core.errors import StoreError
from embedwell.core.events import Progress, Watch

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from embedwell.app.indexes.progress import Ingestion, Observer
    from embedwell.stores.queue import Queue

# Nothing is shown for what is over before people would wonder.
_SILENT_S = 1.0
_SILENT_INDEX_S = 2.0
_LOOK_S = 1.0
_WAIT = "wait for "


@dataclass(frozen=True)
class TerminalWatch(Watch):
    """A watch that draws what it is told, where standard error is a terminal."""

    display: Display | None = field(default=None)

    def follow(self, queue: Queue) -> None:
        """Draw how far the ingestion of a store is, from now on.

        The queue is looked at whenever a step of `index` is told, in the thread that tells it: the
        one that owns the store.
        """
        if self.display is not None:
            self.display.follow(queue)


@contextmanager
def watching() -> Iterator[TerminalWatch]:
    """A watch that draws on a terminal and turns the first Ctrl-C into a wish to stop.

    The second Ctrl-C stops at once, as it does everywhere.
    """
    display = Display()
    watch = TerminalWatch(display.show, display=display) if sys.stderr.isatty() else TerminalWatch()

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


class Display:
    """One bar a stage, drawn once a stage lasts; below them how far the ingestion is."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._live: Live | None = None
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._queue: Queue | None = None
        self._observer: Observer | None = None
        self._looked_at = 0.0
        self._seen: Ingestion | None = None
        self._waits_for = ""

    def follow(self, queue: Queue) -> None:
        """Look at this queue at each step of `index`."""
        from embedwell.app.indexes.progress import Observer

        self._queue, self._observer = queue, Observer()

    def show(self, progress: Progress) -> None:
        """Draw a step."""
        began = self._began.setdefault(progress.stage, time.monotonic())
        lasted_s = time.monotonic() - began
        if self._observer is not None and progress.stage.startswith(_WAIT):
            self._waits_for = f"{progress.stage.removeprefix(_WAIT)} ({progress.done} s)"
        elif self._observer is not None and progress.stage == "index":
            if lasted_s >= _SILENT_INDEX_S:
                self._look()
        elif progress.stage in self._tasks or lasted_s >= _SILENT_S:
            self._step(progress)

    def close(self) -> None:
        """Take it off the screen."""
        if self._live is not None:
            self._live.stop()

    def _look(self) -> None:
        if time.monotonic() - self._looked_at < _LOOK_S or not (self._observer and self._queue):
            return
        try:
            self._seen = self._observer.look(self._queue)
            self._waits_for = ""
        except StoreError:  # who works waits for it, and says so; what is drawn must not end that
            self._waits_for = "the database"
        self._looked_at = time.monotonic()
        self._open()

    def _step(self, progress: Progress) -> None:
        self._open()
        if self._bars is None:
            self._bars = _bars()
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bars.add_task(
                progress.stage, total=progress.total, unit=progress.unit
            )
        self._bars.update(
            self._tasks[progress.stage], completed=progress.done, total=progress.total
        )

    def _open(self) -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(stderr=True, highlight=False),
                get_renderable=self._drawn,
                transient=True,
                redirect_stdout=False,  # what it prints is for whoever reads it
            )
            self._live.start()

    def _drawn(self) -> RenderableType:
        from rich.console import Group

        from embedwell.cli.ingestion import panel

        parts: list[RenderableType] = [self._bars] if self._bars is not None else []
        if self._seen is not None:
            parts.append(panel(self._seen, self._waits_for, is_brief=True))
        return Group(*parts)


def _bars() -> Bars:
    from rich import progress as rich_progress

    return rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.TextColumn("{task.percentage:>3.0f} % of {task.fields[unit]}"),
        rich_progress.TimeRemainingColumn(),
    )
