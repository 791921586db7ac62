"""Bring a store up to date with its sources: sweep them, then work the queue off."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TypeAlias

from embedwell.core.errors import QueueError
from embedwell.core.events import Watch
from embedwell.ingest.sources.protocol import SourceReader
from embedwell.ingest.walk import Skipped
from embedwell.jobs.sweeping.sweep import Sweeping, Swept, sweep
from embedwell.jobs.work.patience import Patience
from embedwell.jobs.work.worker import WorkReport
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Source

# Another sweep of millions of files is over by then; a longer job says so.
_PATIENCE_S = 10.0

WorkOff: TypeAlias = Callable[[Watch], WorkReport]
"""Works until nothing is queued any more."""


@dataclass(frozen=True)
class Listing:
    """A source, and what lists it now.

    Attributes:
        source: As the store has it.
        open: Gives its reader once it is its turn; raises `QueueError` where it is not there.
        must: Whether it is an error if it cannot be listed, rather than one failure among others.
    """

    source: Source
    open: Callable[[], SourceReader]
    must: bool = True


@dataclass
class IndexReport:
    """What an index run did.

    Attributes:
        n_added: Files that were not in the index.
        n_updated: Files whose content had changed.
        n_unchanged: Files that were left as they are.
        n_removed: Files that had gone.
        n_chunks: Chunks of the added and updated files.
        n_embedded: Texts that went through the model.
        n_reused: Chunks whose vectors were known already.
        n_truncated: Chunks that were longer than the model takes.
        skipped: What was left out, and why.
        failed: What should have been indexed and could not be, and why.
        notes: What was indexed in part, such as a PDF with an unreadable page.
        took_s: Seconds.
        n_queued: What was left to other workers.
    """

    n_added: int = 0
    n_updated: int = 0
    n_unchanged: int = 0
    n_removed: int = 0
    n_chunks: int = 0
    n_embedded: int = 0
    n_reused: int = 0
    n_truncated: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    failed: list[Skipped] = field(default_factory=list)
    notes: list[Skipped] = field(default_factory=list)
    took_s: float = 0.0
    n_queued: int = 0


def index_sources(
    store: Store,
    listings: Sequence[Listing],
    work_off: WorkOff | None,
    watch: Watch,
    sweeping: Sweeping,
) -> IndexReport:
    """Index what is new or changed in sources and drop what has gone.

    Every commit holds whole documents: whenever the run is stopped, what it reported is kept and
    the next run goes on from there.

    Args:
        store: Where to.
        listings: Which sources.
        work_off: Does what is queued; None leaves it to workers elsewhere.
        watch: Told of progress; stops the run within a batch, as of the last commit.
        sweeping: How they are compared.

    Raises:
        CanaryError: The run checked itself and stopped.
        QueueError: A source cannot be listed.
        StoreBusyError: Another job, such as a migration, is writing.
        TaskCancelledError: `watch` was asked to stop.
        StoreError: The store could not be written; what was committed before is kept.
    """
    began = time.perf_counter()
    swept = [_sweep(store, one, watch, sweeping) for one in listings]
    n_left = sum(row.n for row in store.queue.tally() if row.status in {"pending", "leased"})
    is_over = not n_left and not _is_open(store)
    done = WorkReport() if is_over or work_off is None else work_off(watch)
    if is_over and work_off is not None:
        store.tend_index(0, watch)  # whoever ended a large load may have died over it
    report = _report(swept, done)
    report.n_queued = n_left if work_off is None else 0
    report.took_s = time.perf_counter() - began
    return report


def _is_open(store: Store) -> bool:
    """Whether the run goes on although nothing is queued: it is stopped, or has to be checked."""
    store.queue.close_run()
    run = store.queue.run()
    return run is not None and run.status != "done"


def _sweep(store: Store, listing: Listing, watch: Watch, sweeping: Sweeping) -> Swept:
    """Sweep one; no two sweeps at once that remove what is not listed."""
    with ExitStack() as held:
        try:
            reader = listing.open()
            if reader.is_whole:
                patience = Patience(_PATIENCE_S, watch)
                patience.with_store(lambda: held.enter_context(store.writing()))
            return sweep(store, listing.source, reader, watch, sweeping)
        except QueueError as error:
            if listing.must:
                raise
            return Swept(failed=[Skipped(listing.source.name, str(error), "failed")])


def _report(swept: Sequence[Swept], done: WorkReport) -> IndexReport:
    return IndexReport(
        n_added=done.n_added,
        n_updated=done.n_updated,
        n_unchanged=sum(one.n_unchanged for one in swept) + done.n_unchanged,
        n_removed=sum(one.n_removed for one in swept),
        n_chunks=done.n_chunks,
        n_embedded=done.n_embedded,
        n_reused=done.n_chunks - done.n_embedded,
        n_truncated=done.n_truncated,
        skipped=[thing for one in swept for thing in one.skipped],
        failed=[thing for one in swept for thing in one.failed] + done.failed,
        notes=done.notes,
    )
