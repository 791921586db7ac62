"""How a long task tells how far it is, and how it is asked to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

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
            Cancelled: The task was asked to stop.
        """
        self.check(stage)
        self.listener(Progress(stage, done, total, unit))

    def check(self, task: str) -> None:
        """Stop here if asked to.

        Raises:
            Cancelled: The task was asked to stop.
        """
        if self.cancelled.is_set():
            raise TaskCancelledError(task)
