"""Wait for a store or an engine that is away for a while, instead of losing work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from embedwell.core.errors import EmbedwellError
from embedwell.core.events import Watch
from embedwell.jobs.work.retries import ENGINE_AWAY, STORE_AWAY

T = TypeVar("T")

_FIRST_S, _LONGEST_S = 0.25, 15.0


def _tell_nobody(problem: str) -> None:
    del problem


@dataclass(frozen=True)
class Patience:
    """How long a store or an engine may be away.

    Attributes:
        patience_s: Seconds after which the error is raised after all.
        watch: Told of the waiting for the store; may stop all waiting.
        complain: Told why it waits, in whichever thread does; with nothing once that is over.
    """

    patience_s: float
    watch: Watch
    complain: Callable[[str], None] = _tell_nobody

    def with_store(self, call: Callable[[], T]) -> T:
        """Call a method of a store, again and again while its database is away or busy.

        Every method is a transaction that can be repeated: a lease that was finished before the
        connection broke is seen as lost.

        Raises:
            StoreGoneError: The database was away for too long.
            StoreBusyError: Somebody else wrote for too long.
            TaskCancelledError: `watch` was asked to stop.
        """

        def tell(waited: float) -> None:
            self.watch.progress("wait for the database", int(waited), None, "seconds")

        return self._again(call, STORE_AWAY, tell)

    def with_engine(self, call: Callable[[], T]) -> T:
        """Embed, again and again while what embeds is away, busy or short of memory.

        Raises:
            ServiceError: It was away for too long.
            PressureError: Memory was full for too long.
            EngineMemoryError: The same.
            TaskCancelledError: `watch` was asked to stop.
        """
        return self._again(call, ENGINE_AWAY, lambda _waited: None)

    def _again(
        self,
        call: Callable[[], T],
        passing: tuple[type[EmbedwellError], ...],
        tell: Callable[[float], None],
    ) -> T:
        began, pause_s, has_waited = time.monotonic(), _FIRST_S, False
        while True:
            try:
                found = call()
            except passing as error:
                waited = time.monotonic() - began
                pause_s = max(pause_s, getattr(error, "retry_after_s", 0.0))
                if waited + pause_s > self.patience_s:
                    raise
                self.complain(error.problem)
                tell(waited)
            else:
                if has_waited:
                    self.complain("")
                return found
            has_waited = True
            self.watch.cancelled.wait(pause_s)
            self.watch.check("work")
            pause_s = min(2 * pause_s, _LONGEST_S)
