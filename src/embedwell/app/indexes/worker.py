"""A worker of this process: an index opened for nothing but its queue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from embedwell.app.indexes.opening import open_index
from embedwell.app.workers.duty import Duty
from embedwell.app.workers.extraction import extracting
from embedwell.app.workers.options import options_for
from embedwell.app.workers.quota import be_nice
from embedwell.core.errors import TaskCancelledError
from embedwell.core.events import Watch
from embedwell.ingest.sources.registry import Surroundings
from embedwell.jobs.work.report import WorkReport
from embedwell.jobs.work.worker import work
from embedwell.stores.queue import Queue

_PATIENCE_S = 600.0


def run_worker(
    path: Path,
    db: str | None,
    duty: Duty,
    watch: Watch,
    *,
    report: WorkReport,
    on_open: Callable[[Queue], None],
) -> None:
    """Open an index and work its queue off.

    Args:
        path: The indexed folder, or one below it.
        db: Where the index is, if not there.
        duty: How.
        watch: Told of progress; stops the worker, which is how one that waits for more ends.
        report: Filled as the work goes on.
        on_open: Given the queue, to draw from it in the thread that tells progress.

    Raises:
        StoreNotFoundError: There is no index.
        TaskCancelledError: It was stopped before the queue was drained, and was asked to drain it.
        CanaryError: The run is stopped.
        DriftError: What embeds here is not fit for the index.
        QueueError: A source is not on this machine.
        StoreError: The index could not be written.
    """
    be_nice(duty.nice)
    with (
        open_index(path, db=db, create=False) as index,
        extracting(index.settings, watch) as extract,
    ):
        on_open(index.store.queue)
        around = Surroundings(index.folder, index.size_factor, duty.moved)
        options = options_for(index.target, around, duty, extract, patience_s=_PATIENCE_S)
        try:
            work(index.store, index.embedders.loader(watch), watch, options, report)
        except TaskCancelledError:
            if duty.once:
                raise
