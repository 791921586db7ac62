"""How fast a run goes, and when it will be over: pure.

What is left is told in seconds of work, and divided by the seconds of work that all workers
together get done in a second. Documents of one format cost about the same for each byte; formats
differ by a factor of ten. So the work that is left is the sum, over the formats, of its bytes by
what a byte of that format cost so far. Since a sample of all comes first (`jobs.order`), every
format has a cost soon; one of which little was seen is guessed from the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from embedwell.stores.queue import Tally

LEFT = frozenset({"pending", "leased"})

# Bytes of text in a byte of a file, roughly; all formats that are not here are text.
_TEXT_SHARES: Mapping[str, float] = {"html": 0.4, "notebook": 0.3, "pdf": 0.5}
# So many bytes of text are believed to cost what they cost in other formats, beside those seen.
_GUESSED_BYTES = 5_000.0
# A worker's embedder is always busy: so many seconds are believed to hold one second of work each.
_BUSY_S = 60.0
# So many seconds of work are believed to go at the run's own pace, before the pace of late counts.
_STEADY_S = 30.0
# Of late: this share of the time since the start, within bounds. Long enough for several commits of
# each worker, short enough to see workers come and go.
_SHARE, _SHORTEST_S, _LONGEST_S = 0.5, 20.0, 600.0


@dataclass(frozen=True)
class Speed:
    """What all workers together reach, for each second.

    Attributes:
        documents: Rows that finished.
        chunks: Chunks that were stored.
        n_bytes: Bytes of the rows that finished.
    """

    documents: float = 0.0
    chunks: float = 0.0
    n_bytes: float = 0.0


@dataclass(frozen=True)
class _Lately:
    """What finished lately, over all formats.

    The time counts from the first claim of what finished lately, so that neither the loading of a
    model nor the hours in which a laptop slept are held against the workers, to the last that
    finished: what was done since shows with the next commit.
    """

    rows: tuple[Tally, ...]
    took_s: float
    until: float

    @classmethod
    def of(cls, rows: Iterable[Tally], since: float) -> _Lately | None:
        seen = tuple(row for row in rows if row.status not in LEFT and row.lately.n)
        begun = [row.lately.began_at for row in seen if row.lately.began_at is not None]
        ended = [row.lately.ended_at for row in seen if row.lately.ended_at is not None]
        if not begun or not ended:
            return None
        return cls(seen, max(max(ended) - max(since, min(begun)), 0.001), max(ended))


class _Costs:
    """Seconds of work for a byte, by format, from all that is finished."""

    def __init__(self, rows: Iterable[Tally]) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._bytes: defaultdict[str, float] = defaultdict(float)
        for row in rows:
            if row.status not in LEFT:
                self._seconds[row.format] += row.seconds
                self._bytes[row.format] += row.n_bytes * _share(row.format)
        self._usual = sum(self._seconds.values()) / max(sum(self._bytes.values()), 1.0)

    def of(self, name: str, n_bytes: float) -> float:
        """Seconds for so many bytes of files of this format."""
        seconds = self._seconds.get(name, 0.0) + _GUESSED_BYTES * self._usual
        return n_bytes * _share(name) * seconds / (self._bytes.get(name, 0.0) + _GUESSED_BYTES)


def window_s(elapsed_s: float) -> float:
    """How long ago "lately" begins, in a run that has lasted so long."""
    return min(max(_SHARE * elapsed_s, _SHORTEST_S), _LONGEST_S)


def speed_lately(rows: Iterable[Tally], since: float) -> Speed:
    """What was reached lately.

    Args:
        rows: A tally of the run, with what finished since `since`.
        since: Seconds since 1970, by the database's clock.
    """
    lately = _Lately.of(rows, since)
    if lately is None:
        return Speed()
    return Speed(
        documents=sum(row.lately.n for row in lately.rows) / lately.took_s,
        chunks=sum(row.lately.n_chunks for row in lately.rows) / lately.took_s,
        n_bytes=sum(row.lately.n_bytes for row in lately.rows) / lately.took_s,
    )


def seconds_left(
    rows: Sequence[Tally], since: float, now: float, n_workers: int = 1
) -> float | None:
    """Seconds until nothing is left, at the pace of late; None where nobody can tell.

    Args:
        rows: A tally of the run, with what finished since `since`.
        since: Seconds since 1970, by the database's clock; see `window_s`.
        now: The time by that clock.
        n_workers: Who works now.
    """
    if not any(row.n for row in rows if row.status in LEFT):
        return 0.0
    lately = _Lately.of(rows, since)
    if lately is None:
        return None
    costs = _Costs(rows)
    slowness = _slowness(lately, costs)
    work_s = sum(row.lately.seconds for row in lately.rows)
    pace = (n_workers * _BUSY_S + work_s) / (_BUSY_S + lately.took_s)
    left_s = {status: slowness * _work_s(rows, costs, status) for status in LEFT}
    unseen_s = min(left_s["leased"], max(now - lately.until, 0.0) * pace)
    return (sum(left_s.values()) - unseen_s) / pace


def _work_s(rows: Iterable[Tally], costs: _Costs, status: str) -> float:
    return sum(costs.of(row.format, row.n_bytes) for row in rows if row.status == status)


def _slowness(lately: _Lately, costs: _Costs) -> float:
    """How much more work the same bytes are of late than over the run, such as 1.3."""
    work_s = sum(row.lately.seconds for row in lately.rows)
    usual_s = sum(costs.of(row.format, row.lately.n_bytes) for row in lately.rows)
    return (work_s + _STEADY_S) / (usual_s + _STEADY_S)


def _share(name: str) -> float:
    return _TEXT_SHARES.get(name, 1.0)
