"""How a worker says that it lives, how it is and how far."""

from __future__ import annotations

import time
from copy import copy
from dataclasses import replace

import psutil

from embedwell.core.events import Watch
from embedwell.jobs.work.patience import Patience
from embedwell.jobs.work.report import WorkReport
from embedwell.stores.queue import Metrics, Queue, Worker

_BEATS_A_LEASE = 3
_ABSENT_LEASES = 3  # who said nothing for so many is not counted on
_METRICS_S = 10.0


class Heartbeat:
    """Renews leases, reports and keeps metrics, a few times before a lease would end.

    Belongs to the thread that owns the store; `error` may be set from any.

    Attributes:
        state: What the worker does, see `Worker.state`.
        proved: For which check it proved its embedder anew.
        error: What it complains of; empty when all is well.
        run: Number of the run that it works for; 0 before its first claim.
        n_leases: Leases that it had when they were last renewed.
        report: What it did so far.
        patience: For what is away; complains here.

    Args:
        queue: Of its store.
        worker: Who.
        lease_s: Seconds that a lease lasts.
        report: What it did so far.
        patience_s: Seconds for which the database, or what embeds, may be away.
        watch: May stop the waiting for it.
    """

    def __init__(
        self,
        queue: Queue,
        worker: Worker,
        lease_s: float,
        report: WorkReport,
        *,
        patience_s: float,
        watch: Watch,
    ) -> None:
        self.state = "starting"
        self.proved = 0
        self.error = ""
        self.run = 0
        self.n_leases = 0
        self._queue = queue
        self._worker = worker
        self._lease_s = lease_s
        self.report = report
        self.patience = Patience(patience_s, watch, self.complain)
        self._process = psutil.Process()
        self._joined_at = self._beat_at = self._metrics_at = time.monotonic()
        self._before = copy(report)  # as it was when it joined the run

    @property
    def name(self) -> str:
        """The worker's."""
        return self._worker.name

    def complain(self, problem: str) -> None:
        """What the next report says is wrong; nothing once all is well. From any thread."""
        self.error = problem

    def beat_if_due(self) -> None:
        """Beat, unless it did so a moment ago; cheap."""
        if time.monotonic() - self._beat_at >= self._lease_s / _BEATS_A_LEASE:
            self.beat()
        if time.monotonic() - self._metrics_at >= _METRICS_S:
            self.add_metrics()

    def beat(self) -> None:
        """Renew the leases and report."""
        rss_bytes = self._rss_bytes()
        worker = replace(
            self._worker,
            state=self.state,
            rss_bytes=rss_bytes,
            proved=self.proved,
            error=self.error,
        )
        self.n_leases = self.patience.with_store(
            lambda: self._queue.renew(self.name, self._lease_s)
        )
        self.patience.with_store(lambda: self._queue.report(worker))
        self._beat_at = time.monotonic()

    def join(self, run: int) -> None:
        """Count from now on for a run, if it is another one."""
        if run != self.run:
            self.add_metrics()
            self.run, self._before, self._joined_at = run, copy(self.report), time.monotonic()

    def be(self, state: str) -> None:
        """Report a state, if it is another one."""
        if state != self.state:
            self.state = state
            self.beat()

    def colleagues(self) -> list[Worker]:
        """Workers that said lately that they live, this one among them."""
        now = self.patience.with_store(self._queue.now)
        longest_s = _ABSENT_LEASES * self._lease_s
        workers = self.patience.with_store(self._queue.workers)
        return [worker for worker in workers if now - worker.seen_at <= longest_s]

    def add_metrics(self) -> None:
        """Keep how far it is; at the end of its work too."""
        self._metrics_at = time.monotonic()
        if not self.run:
            return
        metrics = self._metrics()
        self.patience.with_store(lambda: self._queue.add_metrics(metrics))

    def _metrics(self) -> Metrics:
        report, before = self.report, self._before
        return Metrics(
            run=self.run,
            worker=self.name,
            at=self.patience.with_store(self._queue.now),
            seconds=self._metrics_at - self._joined_at,
            n_done=report.n_done - before.n_done,
            n_failed=report.n_failed - before.n_failed,
            n_skipped=report.n_unchanged - before.n_unchanged,
            n_chunks=report.n_chunks - before.n_chunks,
            n_tokens=report.n_tokens - before.n_tokens,
            n_bytes=report.n_bytes - before.n_bytes,
            rss_bytes=self._rss_bytes(),
        )

    def _rss_bytes(self) -> int:
        """Resident memory of this process and its children; shared pages count in each."""
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.Error:  # it has just ended
                continue
        return total
