"""What a worker does while it has nothing in hand: look, wait, and help the run along."""

from __future__ import annotations

import time

from embedwell.core.events import Watch
from embedwell.ingest.lanes import Lanes
from embedwell.jobs.work.attend import Attending
from embedwell.jobs.work.canary.rules import stopped
from embedwell.jobs.work.heartbeat import Heartbeat
from embedwell.jobs.work.identity import bury
from embedwell.jobs.work.options import WorkOptions
from embedwell.jobs.work.tending import Tender, tends
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Run

_FIRST_S, _LONGEST_S, _LONGEST_IDLE_S = 0.2, 2.0, 15.0
_GROWTH = 1.5
_BURY_EVERY_S = 5.0


class Rest:
    """The pauses of one worker. Belongs to the thread that owns the store.

    Args:
        store: Its store.
        lanes: Its embedders.
        watch: Ends a pause.
        options: How it works.
        heart: Its heartbeat.
    """

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        watch: Watch,
        options: WorkOptions,
        heart: Heartbeat,
    ) -> None:
        self._store = store
        self._queue = store.queue
        self._lanes = lanes
        self._watch = watch
        self._options = options
        self._heart = heart
        self._patience = heart.patience
        self._tender = Tender(options.reopen, heart.complain)
        self._pause_s = _FIRST_S
        self._buried_at = 0.0

    def reset(self) -> None:
        """There was something to do: the next pause is short again."""
        self._pause_s = _FIRST_S

    def take(self) -> bool:
        """Look at the run and pause; gives whether nothing is left for anybody.

        Raises:
            CanaryError: The run is stopped.
        """
        run = self._patience.with_store(self._queue.run)
        if run is None or run.status == "done":
            if not self._options.stays:
                self._finish_index(only_begun=True)
                return True
            if self._heart.state != "waiting":
                self._heart.add_metrics()
            self._heart.be("waiting")
            self._pause(_LONGEST_IDLE_S)
            return False
        if run.status == "stopped":
            raise stopped(run)
        if self._patience.with_store(self._queue.close_run):
            self._finish_index(only_begun=False)
        else:
            self._help(run)
            self._pause(_LONGEST_S)
        return False

    def tend(self, n_waiting: int) -> None:
        """Look after the index, now and then, if that is this worker's to do."""
        if self._tender.is_due and tends(self._heart.name, self._heart.colleagues()):
            self._tender.tend(n_waiting)

    def close(self) -> None:
        """Stop what goes on beside."""
        self._tender.close()

    def _finish_index(self, *, only_begun: bool) -> None:
        """After the last row: the index as it should be, whoever tended it before."""
        if self._tender.is_busy or not only_begun:
            self._heart.be("tending the index")
            self._tender.finish(self._beat)

    def _beat(self) -> None:
        self._watch.check("index")
        self._heart.beat_if_due()

    def _help(self, run: Run) -> None:
        """Others have the last rows, or a check is due."""
        if run.status == "checking":
            self._heart.be("checking")
        if self._heart.n_leases:  # of a claim whose answer was lost with the connection
            self._patience.with_store(lambda: self._queue.release(self._heart.name))
            self._heart.n_leases = 0
        if time.monotonic() - self._buried_at >= _BURY_EVERY_S:
            self._patience.with_store(lambda: bury(self._queue))
            self._buried_at = time.monotonic()
        self._options.attend(Attending(self._store, run, self._lanes, self._heart, self._watch))

    def _pause(self, longest_s: float) -> None:
        self._watch.cancelled.wait(self._pause_s)
        self._pause_s = min(_GROWTH * self._pause_s, longest_s)
