"""Compare what a source holds with what is stored of it, and queue the difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from embedwell.core.errors import QueueError
from embedwell.core.events import Watch
from embedwell.ingest.sources.protocol import SourceReader
from embedwell.ingest.walk import Skipped
from embedwell.jobs.changes import compare
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Item, Source

_TOLD_EVERY = 1_000
# An unmounted disk looks like an empty folder.
_MANY = 10


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
    """

    n_found: int
    n_queued: int
    n_waiting: int
    n_unchanged: int
    n_removed: int
    skipped: list[Skipped]


def sweep(
    store: Store,
    source: Source,
    reader: SourceReader,
    watch: Watch,
    *,
    canary_at: int = 0,
    rehearsal: bool = False,
    all_anew: bool = False,
) -> Swept:
    """Queue what is new or changed in a source, and remove what has gone.

    The caller holds `store.writing()`.

    Args:
        store: Where to.
        source: Which source.
        reader: Lists it.
        watch: Told of progress; may stop the sweep before anything is queued.
        canary_at: When a run that begins now checks itself; 0 for never.
        rehearsal: Whether it ends with that check.
        all_anew: Whether what did not change is queued too.

    Raises:
        QueueError: The source is empty, and many documents are stored of it.
        TaskCancelledError: `watch` was asked to stop.
    """
    skipped: list[Skipped] = []
    found = _told(reader.items(skipped.append), watch)
    if source.prefix or all_anew:
        found = (replace(one, key=source.prefix + one.key, anew=all_anew) for one in found)
    stored = store.stats(source.number)
    changes = compare(found, stored, store.queue.waiting(source.number))
    if not changes.n_found and len(changes.gone) > _MANY:
        raise _vanished(source, len(changes.gone))
    if changes.to_read:
        run = store.queue.open_run(canary_at, rehearsal=rehearsal)
        store.queue.enqueue(source.number, run.number, changes.to_read)
    n_removed = store.delete(changes.gone) if changes.gone else 0
    return Swept(
        changes.n_found,
        len(changes.to_read),
        changes.n_waiting,
        changes.n_unchanged,
        n_removed,
        skipped,
    )


def _told(found: Iterator[Item], watch: Watch) -> Iterator[Item]:
    for n, item in enumerate(found):
        if not n % _TOLD_EVERY:
            watch.progress("list", n, None, "files")
        yield item


def _vanished(source: Source, n_gone: int) -> QueueError:
    place = source.place or "the folder"
    return QueueError(
        f"There is nothing in {place}, and {n_gone:,} documents of it are stored.",
        "Mount it if it is a disk or a share; if it was emptied, remove them by "
        f"`embedwell purge --source {source.name}`.",
    )
