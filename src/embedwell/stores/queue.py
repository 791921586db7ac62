"""The queue of a store: what is to be read, who reads it now, and what became of it.

Every row is a file or a record of a source. A worker claims rows for a time, renews its claim
while it lives, and finishes a document with `Store.put(…, outcomes=…)`: chunks, vectors, lexical
rows, the queue's row and the counts of the run change in one transaction or not at all. A claim
that was lost (the time ran out, the row was queued anew) is seen in that transaction, and what came
of it is left out: every document is stored once, whoever dies when.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from embedwell.stores.queued import (
    LOST_ALONE,
    LOST_DEAD,
    Entry,
    Item,
    Lately,
    Metrics,
    Outcome,
    Purged,
    Run,
    RunStatus,
    Source,
    Status,
    Tally,
    Task,
    Times,
    Which,
    Worker,
    next_check,
)

__all__ = [
    "LOST_ALONE",
    "LOST_DEAD",
    "Entry",
    "Item",
    "Lately",
    "Metrics",
    "Outcome",
    "Purged",
    "Queue",
    "Run",
    "RunStatus",
    "Source",
    "Status",
    "Tally",
    "Task",
    "Times",
    "Which",
    "Worker",
    "next_check",
]


class Queue(Protocol):
    """The queue of one collection. Owned by the store's thread; every write is one transaction.

    Times are seconds since 1970 by the clock of the database (its server's, or this machine's for
    a file). A lease ends when its time is up, and also when it lies further ahead than a lease can
    last: then the clock was moved.
    """

    def now(self) -> float:
        """Seconds since 1970, by the clock of the database."""
        ...

    def sources(self) -> list[Source]:
        """All of them, by number."""
        ...

    def add_source(
        self, kind: str, name: str, place: str, host: str, options: Mapping[str, Any]
    ) -> Source:
        """Add a source; its prefix is chosen here.

        Raises:
            QueueError: There is one of that name.
        """
        ...

    def set_source(self, source: Source) -> None:
        """Change the place, host and options of a source."""
        ...

    def waiting(self, source: int) -> Mapping[str, tuple[int, int]]:
        """Size and time by key of the rows of a source that are pending, leased or dead."""
        ...

    def unstored(self, source: int) -> list[str]:
        """Keys of a source's rows that are through although no document is stored of them."""
        ...

    def open_run(self, canary_at: int, *, rehearsal: bool = False) -> Run:
        """The run that is open, as it is, or a new one."""
        ...

    def enqueue(self, source: int, run: int, items: Iterable[Item], *, priority: int = 0) -> int:
        """Queue items, or queue them anew: whoever has leased one of them loses it.

        A run that a worker ended since it was opened is open again, if no other one is.

        Returns:
            How many there were.
        """
        ...

    def run(self, number: int | None = None) -> Run | None:
        """One run; the newest if left out; None where there is none."""
        ...

    def runs(self) -> list[Run]:
        """All of them, by number."""
        ...

    def claim(self, worker: str, n: int, lease_s: float) -> list[Task]:
        """Lease rows of the open run for a time, the highest priority first, then the oldest.

        None while the run is not `running`, and never more than may be finished before its next
        check. Rows whose lease ended are pending again first, or dead after `LOST_DEAD` losses.
        A row that was lost `LOST_ALONE` times comes alone, after all others.
        """
        ...

    def renew(self, worker: str, lease_s: float) -> int:
        """Let all leases of a worker last so long from now; gives how many it has."""
        ...

    def release(self, worker: str, *, lost: bool = False) -> int:
        """Give all leases of a worker back; gives how many it had.

        Args:
            worker: Its name.
            lost: Whether it died with them, rather than giving them back itself.
        """
        ...

    def close_run(self) -> bool:
        """End the open run if no row is pending or leased; gives whether it ended.

        One that is stopped or being checked does not end, nor before a check that is due; a
        rehearsal always has one.
        """
        ...

    def begin_check(self, worker: str, lease_s: float) -> bool:
        """Take it upon a worker to check the open run, where a check is due and nobody does.

        Due: the run is `running`, has reached `canary_at` (or has nothing left, in a rehearsal),
        and nothing is leased. It is `checking` from then on, for that worker until the time is
        up, after which another may begin.
        """
        ...

    def end_check(self, *, canary_at: int, reason: str, report: Mapping[str, Any]) -> None:
        """Write what a check found; without a reason the run goes on, else it is stopped.

        It is no rehearsal any more: that ends with its first check.
        """
        ...

    def stop_run(self, reason: str) -> None:
        """Stop the open run: nothing more is claimed."""
        ...

    def resume_run(self) -> None:
        """Let a stopped run go on."""
        ...

    def report(self, worker: Worker) -> None:
        """Say that a worker lives, and how it is; its counts are kept by `Store.put`."""
        ...

    def workers(self) -> list[Worker]:
        """All that were not forgotten, by name."""
        ...

    def forget_worker(self, name: str) -> None:
        """Remove a worker that has ended."""
        ...

    def add_metrics(self, metrics: Metrics) -> None:
        """Keep how far a worker is."""
        ...

    def metrics(self, run: int) -> list[Metrics]:
        """What was kept of a run, oldest first."""
        ...

    def tally(self, run: int | None = None, *, since: float = math.inf) -> list[Tally]:
        """How many rows of each status and format there are, of one run or of all.

        Args:
            run: Number of the run.
            since: Which of them `Tally.lately` counts: those with `finished_at` at or after this.
        """
        ...

    def entries(self, which: Which, n: int) -> list[Entry]:
        """The first n rows that are meant, by number."""
        ...

    def retry(self, which: Which) -> int:
        """Queue rows that failed or are dead anew, in the open run or in a new one.

        They are read even if their bytes are those that failed; gives how many there are.
        """
        ...

    def purge(self, which: Which, *, dry_run: bool = False) -> Purged:
        """Remove rows of the queue with their documents, or only say what that would take away.

        Sources and runs of which nothing is left go too. An empty `which` empties the collection:
        documents that programs added, sources, runs and all.

        Raises:
            QueueError: There is no such source or run.
        """
        ...
