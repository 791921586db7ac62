"""A worker of this process: an index opened for nothing but its queue."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from embedwell.app.index import Index
from embedwell.app.opening import open_index
from embedwell.app.worker_duty import Duty
from embedwell.app.worker_quota import be_nice, is_above
from embedwell.core.errors import TaskCancelledError
from embedwell.core.events import Watch
from embedwell.ingest.sources.registry import Surroundings, open_source
from embedwell.jobs.options import WorkOptions
from embedwell.jobs.report import WorkReport
from embedwell.jobs.work import work
from embedwell.stores.protocol import Store
from embedwell.stores.registry import open_store

_PATIENCE_S = 600.0


def run_worker(
    path: Path, db: str | None, duty: Duty, watch: Watch, report: WorkReport
) -> WorkReport:
    """Open an index and work its queue off.

    Args:
        path: The indexed folder, or one below it.
        db: Where the index is, if not there.
        duty: How.
        watch: Told of progress; stops the worker, which is how one that waits for more ends.
        report: Filled as the work goes on.

    Raises:
        StoreNotFoundError: There is no index.
        TaskCancelledError: It was stopped before the queue was drained, and was asked to drain it.
        CanaryError: The run is stopped.
        DriftError: What embeds here is not fit for the index.
        QueueError: A source is not on this machine.
        StoreError: The index could not be written.
    """
    be_nice(duty.nice)
    with open_index(path, db=db, create=False) as index:
        options = options_for(index, duty)
        try:
            work(index.store, partial(index.load, watch), watch, options, report)
        except TaskCancelledError:
            if duty.once:
                raise
    return report


def options_for(index: Index, duty: Duty) -> WorkOptions:
    """How a worker works for an index."""
    around = Surroundings(index.folder, index.size_factor, duty.moved)
    return WorkOptions(
        partial(open_source, around=around),
        stays=not duty.once,
        batch_size=duty.batch_size,
        patience_s=_PATIENCE_S,
        is_busy=is_above(duty.max_load),
        reopen=_reopen(index),
    )


def _reopen(index: Index) -> Callable[[], Store] | None:
    """Opens the store once more, where that is a server's; a file's index follows by itself."""
    return None if isinstance(index.target, Path) else partial(open_store, index.target)
