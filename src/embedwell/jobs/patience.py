"""Wait for a store that is away for a while, instead of losing work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from embedwell.core.errors import StoreBusyError, StoreGoneError
from embedwell.core.events import Watch

T = TypeVar("T")

_FIRST_S, _LONGEST_S = 0.25, 15.0


@dataclass(frozen=True)
class Patience:
    """How long a store may be away.

    Attributes:
        patience_s: Seconds after which the error is raised after all.
        watch: Told of the waiting; may stop it.
    """

    patience_s: float
    watch: Watch

    def with_store(self, call: Callable[[], T]) -> T:
        """Call a method of a store, again and again while its database is away or busy.

        Every method is a transaction that can be repeated: a lease that was finished before the
        connection broke is seen as lost.

        Raises:
            StoreGoneError: The database was away for too long.
            StoreBusyError: Somebody else wrote for too long.
            TaskCancelledError: `watch` was asked to stop.
        """
        began, pause_s = time.monotonic(), _FIRST_S
        while True:
            try:
                return call()
            except (StoreGoneError, StoreBusyError):
                waited = time.monotonic() - began
                if waited + pause_s > self.patience_s:
                    raise
                self.watch.progress("wait for the database", int(waited), None, "seconds")
            self.watch.cancelled.wait(pause_s)
            self.watch.check("work")
            pause_s = min(2 * pause_s, _LONGEST_S)
