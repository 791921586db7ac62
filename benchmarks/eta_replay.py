"""Runs played again at an even pace: what the time left is worth where the machine is not to blame.

The documents, their order and their tokens are those of a run that took place; a token costs the
same throughout. On a machine that is shared, the pace of the run itself says more about others.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from embedwell.jobs.progress.eta import seconds_left, window_s
from embedwell.stores.queue import Lately, Tally

_ROWS = """
    SELECT format, size_bytes, n_chunks, n_tokens FROM files_queue ORDER BY priority DESC, id
"""
# The default model on one thread; reading and cutting a byte of text, and of a PDF.
_TOKEN_S, _BYTE_S, _PDF_BYTE_S = 54e-6, 1e-6, 10e-6
_CHUNKS_AT_ONCE = 256
_FIRST_S = 0.5


@dataclass(frozen=True)
class Row:
    """A document, and when a worker had it.

    Attributes:
        format: Its format.
        n_bytes: Its size.
        n_chunks: Its chunks.
        work_s: Seconds that all stages take for it.
        began: Seconds after the beginning of the run.
        ended: The same.
    """

    format: str
    n_bytes: int
    n_chunks: int
    work_s: float
    began: float = 0.0
    ended: float = 0.0


def rows_of(db: Path) -> list[Row]:
    """The documents of an index file, in the order in which they are worked off."""
    with closing(sqlite3.connect(db)) as connection:
        found = connection.execute(_ROWS).fetchall()
    return [
        Row(name, size, chunks, tokens * _TOKEN_S + size * _byte_s(name))
        for name, size, chunks, tokens in found
    ]


def even(rows: Iterable[Row], n_workers: int) -> list[Row]:
    """The same documents, worked off at an even pace, in groups as `jobs.work.shift` makes them."""
    free = [_FIRST_S] * n_workers
    found: list[Row] = []
    for group in _groups(rows):
        began = heapq.heappop(free)
        ended = began + sum(row.work_s for row in group)
        found += [replace(row, began=began, ended=ended) for row in group]
        heapq.heappush(free, ended)
    return found


def worst(rows: Sequence[Row], n_workers: int) -> float:
    """The largest error of the time of the whole run from 10 % of it on, as a share of it."""
    end = max(row.ended for row in rows)
    errors = [0.0]
    for percent in range(10, 100, 2):
        now = end * percent / 100
        since = now - window_s(now)
        left_s = seconds_left(_tally(rows, now, since), since, now, n_workers)
        if left_s is not None:
            errors.append(abs(now + left_s - end) / end)
    return max(errors)


def _byte_s(name: str) -> float:
    return _PDF_BYTE_S if name == "pdf" else _BYTE_S


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if sum(one.n_chunks for one in group) >= _CHUNKS_AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _tally(rows: Iterable[Row], now: float, since: float) -> list[Tally]:
    groups: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        status = "done" if row.ended <= now else "leased" if row.began <= now else "pending"
        groups[status, row.format].append(row)
    return [_counted(status, name, found, since) for (status, name), found in groups.items()]


def _counted(status: str, name: str, rows: Sequence[Row], since: float) -> Tally:
    is_done = status == "done"
    late = [row for row in rows if is_done and row.ended >= since]
    lately = Lately(
        len(late),
        sum(row.n_bytes for row in late),
        sum(row.work_s for row in late),
        sum(row.n_chunks for row in late),
        min((row.began for row in late), default=None),
        max((row.ended for row in late), default=None),
    )
    return Tally(
        "done" if is_done else "leased" if status == "leased" else "pending",
        name,
        len(rows),
        sum(row.n_bytes for row in rows),
        sum(row.work_s for row in rows) if is_done else 0.0,
        sum(row.n_chunks for row in rows) if is_done else 0,
        lately,
    )
