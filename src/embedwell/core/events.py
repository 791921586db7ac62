"""How a long task tells how far it is, and how it is asked to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from embedwell.core.errors import TaskCancelledError


@dataclass(frozen=True)
class Progress:
    """One step of a long task.

    Attributes:
        stage: What is being done, such as `download` or `embed`.
        done: Units finished.
        total: Units in all, or None while unknown.
        unit: What is counted, such as `bytes` or `chunks`.
    """

    stage: str
    done: int
    total: int | None
    unit: str


def _ignore(progress: Progress) -> None:
    del progress


@dataclass(frozen=True)
class Watch:
    """Passed down a long task: progress goes up through it, the wish to stop comes down.

    Attributes:
        listener: Called with each step, in the thread that does the work.
        cancelled: Set it from any thread to stop the task at its next safe point.
    """

    listener: Callable[[Progress], None] = _ignore
    cancelled: threading.Event = field(default_factory=threading.Event)

    def progress(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """Report a step.

        Raises:
            TaskCancelledError: The task was asked to stop.
        """
        self.check(stage)
        self.listener(Progress(stage, done, total, unit))

    def check(self, task: str) -> None:
        """Stop here if asked to.

        Raises:
            TaskCancelledError: The task was asked to stop.
        """
        if self.cancelled.is_set():
            raise TaskCancelledError(task)


EVENTS = {
    "loading": "A model is being made ready: `stage` (`download`, `convert`, `load`, `warm`), "
    "`done`, `total`, `unit`.",
    "loaded": "A model is ready: `bytes` that it takes, `took_s`.",
    "unloaded": "A model's memory was given back: `reason` (`idle`, `room`, `pressure`, `asked`, "
    "`memory`, `closed`), `bytes`.",
    "pressure": "The level of memory pressure changed: `level`, `before`, `fraction`.",
    "warning": "Memory was above 85 % when texts came: `fraction`.",
    "refused": "A model was not loaded: `reason` (`budget`, `pressure`, `failed`), `need_bytes`, "
    "`budget_bytes`.",
}
"""What a runtime tells, and the details that come with it."""

EventKind = Literal["loading", "loaded", "unloaded", "pressure", "warning", "refused"]


@dataclass(frozen=True)
class Event:
    """Something that happened to the models of a runtime.

    Attributes:
        kind: One of `EVENTS`.
        artifact: Whom it happened to, such as `all-MiniLM-L6-v2@q8`; empty for all of them.
        detail: See `EVENTS`.
        at: When, in seconds since 1970.
    """

    kind: EventKind
    artifact: str
    detail: Mapping[str, str | float | None]
    at: float = field(default_factory=time.time)


Listener = Callable[[Event], None]
"""Called in whichever thread it happens; must be quick and must not raise."""


def ignore_events(event: Event) -> None:
    """A listener for those who do not care."""
    del event
