"""Decisions about leases and checks that every queue shares: pure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from embedwell.core.errors import QueueError
from embedwell.stores.queue import LOST_DEAD, Outcome, Run, Source, Which
from embedwell.stores.values import DocumentChunks

K = TypeVar("K", bound=Hashable)

LONGEST_S = 3600.0
"""A lease, or a wait before another try, that ends later than this from now was written by another
clock: it has ended."""
LOST = f"Whoever had it was lost {LOST_DEAD} times: killed, out of memory, or cut off."


@dataclass(frozen=True)
class Counted:
    """What outcomes add up to."""

    n_done: int = 0
    n_failed: int = 0
    n_skipped: int = 0
    n_empty: int = 0
    n_chunks: int = 0
    n_tokens: int = 0
    n_bytes: int = 0

    def plus(self, outcome: Outcome) -> Counted:
        """With one more; what will be tried again counts for nothing yet."""
        if outcome.status == "pending":
            return self
        return Counted(
            self.n_done + (outcome.status == "done"),
            self.n_failed + (outcome.status in {"failed", "dead"}),
            self.n_skipped + (outcome.status == "skipped"),
            self.n_empty + (outcome.status == "done" and not outcome.n_chunks),
            self.n_chunks + outcome.n_chunks,
            self.n_tokens + outcome.n_tokens,
            self.n_bytes + outcome.task.item.size_bytes,
        )

    def of_run(self) -> tuple[int, ...]:
        """In the order of a run's columns."""
        counts = (self.n_done, self.n_failed, self.n_skipped, self.n_empty)
        return (*counts, self.n_chunks, self.n_tokens, self.n_bytes)

    def of_worker(self) -> tuple[int, ...]:
        """In the order of a worker's columns."""
        return (self.n_done, self.n_failed, self.n_chunks)


def counted(outcomes: Iterable[Outcome], by: Callable[[Outcome], K]) -> Mapping[K, Counted]:
    """Outcomes added up by run or by worker."""
    found: dict[K, Counted] = {}
    for outcome in outcomes:
        found[by(outcome)] = found.get(by(outcome), Counted()).plus(outcome)
    return found


def n_claimable(run: Run | None, n_leased: int) -> int:
    """How many rows may be leased now: none while a run pauses, and none past its next check."""
    if run is None or run.status != "running":
        return 0
    if not run.canary_at:
        return sys.maxsize
    return run.canary_at - run.n_finished - n_leased


def may_close(run: Run | None, n_left: int) -> bool:
    """Whether a run has ended: not while it is stopped, nor before a check that is due.

    Args:
        run: The open run.
        n_left: How many rows are pending or leased.
    """
    if run is None or run.status != "running" or n_left:
        return False
    return not run.canary_at or not (run.rehearsal or run.n_finished >= run.canary_at)


def is_check_due(run: Run, check_end: float, now: float, *, is_empty: bool) -> bool:
    """Whether somebody has to check a run now.

    Args:
        run: An open run none of whose rows is leased.
        check_end: Until when whoever checks it has it, by the database's clock.
        now: The time by that clock.
        is_empty: Whether nothing is pending.
    """
    if run.status == "checking":
        return not now < check_end <= now + LONGEST_S
    if run.status != "running" or not run.canary_at:
        return False
    return run.n_finished >= run.canary_at or (run.rehearsal and is_empty)


def still_held(
    documents: Sequence[DocumentChunks], outcomes: Iterable[Outcome], lost: frozenset[int]
) -> list[DocumentChunks]:
    """The documents that are stored: none of a lost lease, and of two of one key the last."""
    gone = {one.task.item.key for one in outcomes if one.task.id in lost}
    latest = {item.document.key: item for item in documents}
    return [item for key, item in latest.items() if key not in gone]


def faults(n_lost: int, n_unqueued: int, n_endless: int) -> list[str]:
    """What is wrong with a queue, a sentence each.

    Args:
        n_lost: Rows that are `done`, of which there is no document.
        n_unqueued: Documents of a source that have no row.
        n_endless: Rows that are `leased`, to nobody or without an end.
    """
    said = {
        "files are done in the queue, and their documents are gone": n_lost,
        "documents of a source have no row in the queue": n_unqueued,
        "rows of the queue are leased to nobody, or without an end": n_endless,
    }
    return [f"{n} {what}." for what, n in said.items() if n]


def check_which(which: Which, sources: Sequence[Source], runs: Sequence[Run]) -> None:
    """Make sure that there is what a purge names.

    Raises:
        QueueError: There is no such source or run.
    """
    names, numbers = [one.name for one in sources], [one.number for one in runs]
    if which.source and which.source not in names:
        there = ", ".join(names) or "none"
        raise QueueError(f"There is no source '{which.source}'.", f"There are: {there}.")
    if which.run and which.run not in numbers:
        there = f"1 to {max(numbers)}" if numbers else "none"
        raise QueueError(f"There is no run {which.run}.", f"There are: {there}.")


def name_taken(name: str) -> QueueError:
    """The error for a second source of one name."""
    return QueueError(
        f"There is a source '{name}' in this index already.",
        "Give the new one another name: `--name NAME`.",
    )
