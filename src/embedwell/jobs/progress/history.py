"""How a run went on, from what its workers wrote down: pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from embedwell.stores.queue import Metrics


@dataclass(frozen=True)
class Series:
    """One worker over time.

    Attributes:
        worker: Its name.
        documents: Documents and other rows that it finished in each interval.
        chunks: Chunks that it stored in each interval.
        rss_bytes: The most memory that it reported.
    """

    worker: str
    documents: tuple[float, ...]
    chunks: tuple[float, ...]
    rss_bytes: int


@dataclass(frozen=True)
class History:
    """A run in intervals of equal length.

    Attributes:
        began_at: Seconds since 1970.
        interval_s: Length of an interval.
        workers: Who worked, by name.
    """

    began_at: float
    interval_s: float
    workers: tuple[Series, ...]

    def total(self, worker: str = "") -> list[tuple[float, float]]:
        """Documents and chunks in each interval, of one worker or of all."""
        chosen = [one for one in self.workers if worker in {"", one.worker}]
        documents = [sum(values) for values in zip(*(one.documents for one in chosen), strict=True)]
        chunks = [sum(values) for values in zip(*(one.chunks for one in chosen), strict=True)]
        return list(zip(documents, chunks, strict=True))


def history(rows: Sequence[Metrics], n_intervals: int) -> History | None:
    """Cut a run into intervals.

    What a worker did between two of its reports is spread evenly over the time between them.

    Args:
        rows: What was kept of the run, oldest first.
        n_intervals: How many there shall be, at least 1.

    Returns:
        The run; None where nothing was kept.
    """
    by_worker: defaultdict[str, list[Metrics]] = defaultdict(list)
    for row in rows:
        by_worker[row.worker].append(row)
    if not by_worker:
        return None
    began = min(row.at - row.seconds for row in rows)
    interval_s = max((max(row.at for row in rows) - began) / n_intervals, 0.001)
    workers = tuple(
        Series(
            name,
            _spread([(row.at, row.n_done + row.n_failed + row.n_skipped) for row in told], *where),
            _spread([(row.at, row.n_chunks) for row in told], *where),
            max(row.rss_bytes for row in told),
        )
        for name, told in sorted(by_worker.items())
        for where in [(told[0].at - told[0].seconds, began, interval_s, n_intervals)]
    )
    return History(began, interval_s, workers)


def _spread(
    counts: Sequence[tuple[float, int]], joined: float, began: float, interval_s: float, n: int
) -> tuple[float, ...]:
    """What was added in each interval, from counts that grow."""
    found = [0.0] * n
    last_at, last = joined, 0
    for at, count in counts:
        first = _clamped(int((last_at - began) / interval_s), n)
        final = _clamped(int((at - began) / interval_s), n)
        for number in range(first, final + 1):
            start = max(last_at, began + number * interval_s)
            end = at if number == final else began + (number + 1) * interval_s
            share = (end - start) / (at - last_at) if at > last_at else 1.0
            found[number] += (count - last) * share
        last_at, last = at, count
    return tuple(found)


def _clamped(number: int, n: int) -> int:
    return min(max(number, 0), n - 1)
