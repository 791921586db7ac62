"""How many rows a worker claims: enough to be never idle, few enough to leave some to others."""

from __future__ import annotations

import time

from embedwell.jobs.work.heartbeat import Heartbeat
from embedwell.jobs.work.options import WorkOptions
from embedwell.stores.queue import Queue, Task

# Rows of large files are claimed by fewer: whoever dies with them gives less back.
_BYTES_AT_ONCE = 64 << 20
_SHARES = 2
_LOOK_EVERY_S = 1.0
_COUNT_SHARE = 50  # of its time, a worker spends one such part counting


def claim_size(batch_size: int, n_left: int, n_workers: int, mean_bytes: float) -> int:
    """How many rows to claim at once, at least 1.

    Args:
        batch_size: Most.
        n_left: About how many rows are pending or leased.
        n_workers: Workers that share them.
        mean_bytes: Mean size of the files that were claimed lately.
    """
    fair = -(-n_left // (_SHARES * max(n_workers, 1)))
    light = int(_BYTES_AT_ONCE / max(mean_bytes, 1.0))
    return max(1, min(batch_size, fair, light))


def has_its_share(n_in_hand: int, n_left: int, n_workers: int) -> bool:
    """Whether a worker has so many of the last rows that the others should have the rest.

    Args:
        n_in_hand: Rows that it has claimed and not finished.
        n_left: About how many rows are pending or leased.
        n_workers: Workers that share them.
    """
    return n_in_hand > 0 and n_in_hand * max(n_workers, 1) >= n_left


class Claims:
    """Claims rows for one worker. Belongs to the thread that owns the store.

    Attributes:
        n_bytes_left: Bytes of the rows that were left when they were last counted.

    Args:
        queue: Whose rows.
        options: Who claims, and how.
        heart: Told of the run.
    """

    def __init__(self, queue: Queue, options: WorkOptions, heart: Heartbeat) -> None:
        self._queue = queue
        self._options = options
        self._heart = heart
        self._patience = heart.patience
        self._mean_bytes = 0.0
        self._n_workers = 1
        self._looked_at = 0.0
        self._count()

    @property
    def n_left(self) -> int:
        """About how many rows are pending or leased: counted now and then, reckoned between."""
        return max(0, self._n_counted + self._n_finished - self._n_finished_now)

    def take(self, n_unread: int, n_in_hand: int) -> list[Task]:
        """Claim rows, unless those in hand are enough.

        Args:
            n_unread: Rows that were claimed and not yet read.
            n_in_hand: Rows that were claimed and not finished, these among them.
        """
        options = self._options
        if n_unread > options.batch_size // 2 or options.is_busy() or not self._look():
            return []
        n = claim_size(options.batch_size, self.n_left, self._n_workers, self._mean_bytes)
        if n_unread > n // 2 or has_its_share(n_in_hand, self.n_left, self._n_workers):
            return []
        name, lease_s = options.worker.name, options.lease_s
        tasks = self._patience.with_store(lambda: self._queue.claim(name, n, lease_s))
        if tasks:
            self._heart.join(tasks[0].run)
            self._mean_bytes = sum(task.item.size_bytes for task in tasks) / len(tasks)
        return tasks

    def _look(self) -> bool:
        """Find out how much is left, and now and then for how many; whether there is a run."""
        run = self._patience.with_store(self._queue.run)
        if run is None or run.status == "done":
            self._n_counted = 0
        if run is None or run.status != "running":
            return False
        self._n_finished_now = run.n_finished
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            self._n_workers = len(self._heart.colleagues())
        is_low = self.n_left < self._options.batch_size * _SHARES * self._n_workers
        if run.number != self._run or (is_low and now >= self._count_at):
            self._count()
        return True

    def _count(self) -> None:
        """Count all rows: slow where there are millions, and then seldom."""
        began = time.monotonic()
        run = self._patience.with_store(self._queue.run)
        self._n_finished = self._n_finished_now = run.n_finished if run else 0
        tally = self._patience.with_store(self._queue.tally)
        left = [row for row in tally if row.status in {"pending", "leased"}]
        self._n_counted = sum(row.n for row in left)
        self.n_bytes_left = sum(row.n_bytes for row in left)
        self._run = run.number if run else 0
        now = time.monotonic()
        self._count_at = now + max(_LOOK_EVERY_S, _COUNT_SHARE * (now - began))
