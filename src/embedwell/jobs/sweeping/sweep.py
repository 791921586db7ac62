"""Compare what a source holds with what is stored of it, and queue the difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from embedwell.core.errors import QueueError
from embedwell.core.events import Watch
from embedwell.ingest.sources.protocol import SourceReader
from embedwell.ingest.walk import Skipped
from embedwell.jobs.sweeping.changes import Comparison
from embedwell.jobs.sweeping.order import Order
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Item, Source

# Queued together: workers begin while the rest is listed, and records are not all in memory.
_AT_ONCE = 2_000
_BYTES_AT_ONCE = 8 << 20
_TOLD_EVERY = 1_000
# An unmounted disk looks like an empty folder.
_MANY = 10


@dataclass(frozen=True)
class Sweeping:
    """How a sweep goes.

    Attributes:
        canary_at: When a run that begins now checks itself; 0 for never.
        rehearsal: Whether it ends with that check.
        all_anew: Whether what did not change is queued too.
    """

    canary_at: int = 0
    rehearsal: bool = False
    all_anew: bool = False


@dataclass(frozen=True)
class Swept:
    """What a sweep found.

    Attributes:
        n_found: Files or records that are worth reading.
        n_queued: New ones, and those that changed.
        n_waiting: Those that were queued already.
        n_unchanged: Those of which nothing has to be done.
        n_removed: Documents that were removed, since theirs have gone.
        skipped: What was left out, and why.
        failed: What should have been listed and could not be, and why.
    """

    n_found: int = 0
    n_queued: int = 0
    n_waiting: int = 0
    n_unchanged: int = 0
    n_removed: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    failed: list[Skipped] = field(default_factory=list)


def sweep(
    store: Store, source: Source, reader: SourceReader, watch: Watch, sweeping: Sweeping
) -> Swept:
    """Queue what is new or changed in a source, and remove what has gone.

    The caller holds `store.writing()` where the reader lists all that there is.

    Args:
        store: Where to.
        source: Which source.
        reader: Lists it.
        watch: Told of progress; may stop the sweep: what was queued stays queued.
        sweeping: How.

    Raises:
        QueueError: The source is empty, and many documents are stored of it.
        TaskCancelledError: `watch` was asked to stop.
    """
    told: list[Skipped] = []
    known = store.stats(source.number), store.queue.waiting(source.number)
    comparison = Comparison(*known, store.queue.unstored(source.number))
    found = _told(reader.items(told.append), watch)
    prefix, anew = source.prefix, sweeping.all_anew
    if prefix or anew:
        found = (replace(one, key=prefix + one.key, anew=anew) for one in found)
    order = Order()
    for batch in _batches(one for one in found if comparison.has_to_be_read(one)):
        run = store.queue.open_run(sweeping.canary_at, rehearsal=sweeping.rehearsal)
        first, rest = order.split(batch)
        store.queue.enqueue(source.number, run.number, first, priority=1)
        store.queue.enqueue(source.number, run.number, rest)
    told = [replace(one, key=prefix + one.key) for one in told] if prefix else told
    spared = comparison.spare(told)
    gone = [one.key for one in told if one.fate == "gone" and comparison.lacks(one.key)]
    if reader.is_whole:
        gone = list(comparison.unseen)
    if not comparison.n_found and len(gone) > _MANY:
        raise _vanished(source, len(gone))
    n_removed = store.delete(gone) if gone else 0
    if comparison.n_to_read or comparison.n_waiting:
        _open_for_what_waits(store, sweeping)
    removed = frozenset(gone)
    return Swept(
        comparison.n_found,
        comparison.n_to_read,
        comparison.n_waiting,
        comparison.n_unchanged,
        n_removed,
        [one for one in told if _is_left_out(one, spared)],
        [one for one in told if not _is_left_out(one, spared) and one.key not in removed],
    )


def _is_left_out(told: Skipped, spared: frozenset[str]) -> bool:
    """A folder that nobody can look into is a failure where something is stored of it."""
    return told.fate == "left out" or (told.fate == "unlisted" and told.key not in spared)


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    n_bytes = 0
    for item in items:
        batch.append(item)
        n_bytes += len(item.payload)
        if len(batch) >= _AT_ONCE or n_bytes >= _BYTES_AT_ONCE:
            yield batch
            batch, n_bytes = [], 0
    if batch:
        yield batch


def _open_for_what_waits(store: Store, sweeping: Sweeping) -> None:
    """Nothing is claimed without an open run, and workers may have ended it between two batches."""
    if any(row.status == "pending" for row in store.queue.tally()):
        store.queue.open_run(sweeping.canary_at, rehearsal=sweeping.rehearsal)


def _told(found: Iterator[Item], watch: Watch) -> Iterator[Item]:
    for n, item in enumerate(found):
        if not n % _TOLD_EVERY:
            watch.progress("list", n, None, "documents")
        yield item


def _vanished(source: Source, n_gone: int) -> QueueError:
    place = source.place or "the folder"
    return QueueError(
        f"There is nothing in {place}, and {n_gone:,} documents of it are stored.",
        "Mount it if it is a disk or a share; if it was emptied, remove them by "
        f"`embedwell purge --source {source.name}`.",
    )
