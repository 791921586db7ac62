"""How far the ingestion of an index is: one value for the terminal, JSON, Prometheus and pages."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from embedwell.jobs.progress.eta import LEFT, Speed, seconds_left, speed_lately, window_s
from embedwell.jobs.progress.kinds import Failure, by_kind
from embedwell.stores.queue import Queue, Run, Status, Tally, Which, Worker

STATUSES: tuple[Status, ...] = get_args(Status)
ALIVE_S = 45.0
"""A worker that has said nothing for so long counts as gone."""

# A tally reads the whole queue: it may take this share of the time, and comes each second at most.
_SHARE, _SHORTEST_S = 0.02, 1.0
_MOST_FAILURES = 1_000


@dataclass(frozen=True)
class Count:
    """Rows of one status."""

    status: Status
    n: int
    percent: float


@dataclass(frozen=True)
class WorkerState:
    """A worker as it last reported.

    Attributes:
        name: Its name.
        host: Its machine.
        pid: Its process there.
        state: What it does, for people; `lost` where it has said nothing for a while.
        is_alive: Whether it reported lately.
        seen_s: Seconds since it last reported.
        n_done: Documents that it stored.
        n_failed: Rows of its that failed.
        n_chunks: Chunks that it stored.
        rss_bytes: Its resident memory.
        error: What it last complained of.
    """

    name: str
    host: str
    pid: int
    state: str
    is_alive: bool
    seen_s: float
    n_done: int
    n_failed: int
    n_chunks: int
    rss_bytes: int
    error: str


@dataclass(frozen=True)
class Ingestion:
    """How far the newest run is.

    Attributes:
        run: Its number.
        state: `running`, `checking`, `stopped` or `done`.
        reason: Why it is stopped; empty else.
        started_at: Seconds since 1970, by the database's clock.
        took_s: Seconds since then, or until it ended.
        eta_s: Seconds until it is done; None where nobody can tell.
        n_rows: Rows: of the run while it is open, else of the whole queue.
        statuses: These rows by status, all six.
        n_bytes: Bytes of those that are finished.
        total_bytes: Bytes of all.
        n_chunks: Chunks of those that are finished.
        lately: What all workers together reach now, for each second.
        overall: The same, on average since the run began, pauses included.
        failures: Rows that failed or were given up, by kind; of the first 1,000.
        workers: Who works, or did until lately.
        canary_at: Finished rows at which the run checks itself next; 0 for never.
        canary: What the last check found.
    """

    run: int
    state: str
    reason: str
    started_at: float
    took_s: float
    eta_s: float | None
    n_rows: int
    statuses: tuple[Count, ...]
    n_bytes: int
    total_bytes: int
    n_chunks: int
    lately: Speed
    overall: Speed
    failures: tuple[Failure, ...]
    workers: tuple[WorkerState, ...]
    canary_at: int
    canary: Mapping[str, Any]

    @property
    def is_open(self) -> bool:
        """Whether anything is left to do."""
        return self.state != "done"

    @property
    def n_alive(self) -> int:
        """Workers that are alive."""
        return sum(worker.is_alive for worker in self.workers)


class Observer:
    """Looks at one queue again and again, and no closer than is cheap.

    Belongs to one thread at a time.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: Ingestion | None = None
        self._counted_at = 0.0
        self._again_at = 0.0
        self._failures: tuple[int, int, tuple[Failure, ...]] = (0, 0, ())

    def look(self, queue: Queue) -> Ingestion | None:
        """How far the newest run is now; None where nothing was ever queued.

        Between two tallies of a large queue the counts stay as they are; what the run itself
        counts, the workers and the time that is left go on.

        Args:
            queue: Always the same one, by whichever connection.

        Raises:
            StoreError: The database cannot be asked.
        """
        run = queue.run()
        if run is None:
            return None
        began, seen = self._clock(), self._seen
        now = queue.now()
        workers = tuple(_state(worker, now) for worker in queue.workers())
        is_same = seen is not None and (seen.run, seen.state) == (run.number, run.status)
        if seen is not None and is_same and began < self._again_at:
            return self._renewed(seen, run, workers, now, began - self._counted_at)
        found = self._counted(queue, run, workers, now)
        took_s = self._clock() - began
        self._seen, self._counted_at = found, began
        self._again_at = self._clock() + max(_SHORTEST_S, took_s / _SHARE)
        return found

    def _renewed(
        self, seen: Ingestion, run: Run, workers: tuple[WorkerState, ...], now: float, ago_s: float
    ) -> Ingestion:
        left_s = None if seen.eta_s is None else max(seen.eta_s - ago_s, 0.0)
        return replace(
            seen,
            took_s=_took_s(run, now),
            eta_s=left_s,
            workers=workers,
            overall=_overall(run, now),
        )

    def _counted(
        self, queue: Queue, run: Run, workers: tuple[WorkerState, ...], now: float
    ) -> Ingestion:
        since = now - window_s(now - run.started_at)
        rows = queue.tally(None if run.status == "done" else run.number, since=since)
        n_rows = sum(row.n for row in rows)
        finished = [row for row in rows if row.status not in LEFT]
        return Ingestion(
            run=run.number,
            state=run.status,
            reason=run.reason,
            started_at=run.started_at,
            took_s=_took_s(run, now),
            eta_s=_eta_s(run, rows, since, now, workers),
            n_rows=n_rows,
            statuses=_counts(rows, n_rows),
            n_bytes=sum(row.n_bytes for row in finished),
            total_bytes=sum(row.n_bytes for row in rows),
            n_chunks=sum(row.n_chunks for row in finished),
            lately=Speed() if run.status == "done" else speed_lately(rows, since),
            overall=_overall(run, now),
            failures=self._kinds(queue, run, rows),
            workers=workers,
            canary_at=run.canary_at,
            canary=run.report,
        )

    def _kinds(self, queue: Queue, run: Run, rows: Sequence[Tally]) -> tuple[Failure, ...]:
        """Failures by kind; read again only where there are others."""
        number = 0 if run.status == "done" else run.number
        n = sum(row.n for row in rows if row.status in {"failed", "dead"})
        if self._failures[:2] != (number, n):
            which = Which(run=number, statuses=("failed", "dead"))
            entries = queue.entries(which, _MOST_FAILURES) if n else []
            self._failures = (number, n, by_kind(entries))
        return self._failures[2]


def _eta_s(
    run: Run, rows: Sequence[Tally], since: float, now: float, workers: Sequence[WorkerState]
) -> float | None:
    """None while nobody works, or nobody may."""
    if run.status == "done":
        return 0.0
    n_alive = sum(worker.is_alive for worker in workers)
    if run.status == "stopped" or not n_alive:
        return None
    return seconds_left(rows, since, now, n_alive)


def _counts(rows: Sequence[Tally], n_rows: int) -> tuple[Count, ...]:
    by_status: Counter[str] = Counter()
    for row in rows:
        by_status[row.status] += row.n
    return tuple(
        Count(status, by_status[status], round(100 * by_status[status] / max(n_rows, 1), 2))
        for status in STATUSES
    )


def _took_s(run: Run, now: float) -> float:
    return max((run.ended_at or now) - run.started_at, 0.0)


def _overall(run: Run, now: float) -> Speed:
    took_s = max(_took_s(run, now), 0.001)
    return Speed(run.n_finished / took_s, run.n_chunks / took_s, run.n_bytes / took_s)


def _state(worker: Worker, now: float) -> WorkerState:
    seen_s = max(now - worker.seen_at, 0.0)
    is_alive = seen_s < ALIVE_S
    return WorkerState(
        name=worker.name,
        host=worker.host,
        pid=worker.pid,
        state=worker.state if is_alive else "lost",
        is_alive=is_alive,
        seen_s=round(seen_s, 1),
        n_done=worker.n_done,
        n_failed=worker.n_failed,
        n_chunks=worker.n_chunks,
        rss_bytes=worker.rss_bytes,
        error=worker.error,
    )
