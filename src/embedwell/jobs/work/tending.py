"""Keep the index of a large load in shape, beside the work, by one of all workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from embedwell.core.errors import EmbedwellError
from embedwell.core.events import Watch
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Worker

_EVERY_S = 30.0
_LOOK_S = 0.5


def tends(name: str, workers: Iterable[Worker]) -> bool:
    """Whether a worker is the one that tends the index: the first by name."""
    return name <= min((worker.name for worker in workers), default=name)


class Tender:
    """Tends the index of a store that it opens for that, in a thread of its own.

    Args:
        reopen: Opens the store; None where its index needs nobody.
        complain: Told what went wrong: the work goes on, and the next time may do.
    """

    def __init__(self, reopen: Callable[[], Store] | None, complain: Callable[[str], None]) -> None:
        self._reopen = reopen
        self._complain = complain
        self._watch = Watch()
        self._thread = threading.Thread()
        self._tended_at = time.monotonic() - _EVERY_S

    @property
    def is_due(self) -> bool:
        """Whether it is time to look again, and it is not at it."""
        is_time = time.monotonic() - self._tended_at >= _EVERY_S
        return self._reopen is not None and is_time and not self.is_busy

    @property
    def is_busy(self) -> bool:
        """Whether it is at it."""
        return self._thread.is_alive()

    def tend(self, n_waiting: int) -> None:
        """Begin.

        Args:
            n_waiting: Rows that are still queued.
        """
        if self._reopen is None:
            return
        self._tended_at = time.monotonic()
        self._thread = threading.Thread(
            target=self._run, args=(self._reopen, n_waiting), name="tend", daemon=True
        )
        self._thread.start()

    def finish(self, meanwhile: Callable[[], None]) -> None:
        """Bring the index to where it should be when nothing is queued, and wait for that.

        Args:
            meanwhile: Called every now and then.
        """
        self._wait(meanwhile)
        self.tend(0)
        self._wait(meanwhile)

    def close(self) -> None:
        """Let it stop where it can, and wait for that."""
        self._watch.cancelled.set()
        self._wait(lambda: None)

    def _wait(self, meanwhile: Callable[[], None]) -> None:
        while self.is_busy:
            meanwhile()
            self._thread.join(_LOOK_S)

    def _run(self, reopen: Callable[[], Store], n_waiting: int) -> None:
        try:
            store = reopen()
            try:
                store.tend_index(n_waiting, self._watch)
            finally:
                store.close()
        except EmbedwellError as error:
            self._complain(f"The index could not be tended: {error.problem}")
