"""Work off a store's queue, alone or with others."""

from __future__ import annotations

from contextlib import suppress

from embedwell.core.errors import (
    EmbedwellError,
    EngineError,
    SpaceMovedError,
    StoreError,
    TaskCancelledError,
)
from embedwell.core.events import Watch
from embedwell.ingest.lanes import LoadEmbedder, lanes_of
from embedwell.jobs.work.heartbeat import Heartbeat
from embedwell.jobs.work.identity import bury
from embedwell.jobs.work.options import WorkOptions
from embedwell.jobs.work.report import WorkReport
from embedwell.jobs.work.shift import Shift
from embedwell.stores.protocol import Store

__all__ = ["WorkOptions", "WorkReport", "work"]

_TRIES = 3


def work(
    store: Store,
    load_embedder: LoadEmbedder,
    watch: Watch,
    options: WorkOptions,
    report: WorkReport | None = None,
) -> WorkReport:
    """Work until nothing is pending or leased any more, or until stopped if the worker stays.

    Others may do the same at the same time. Stopped at any moment, what was stored is kept, and
    what was claimed is given back; killed, its claims end by themselves.

    Args:
        store: Whose queue.
        load_embedder: Gives embedders admitted to the store; see `Shift` for when they prove
            themselves.
        watch: Told of progress in bytes; stops within a batch.
        options: How.
        report: Filled as the work goes on, for who wants to know after an error.

    Raises:
        CanaryError: The run checked itself and stopped.
        DriftError: The embedder's build is not fit for the store.
        QueueError: A source is not where it should be.
        EngineError: The engine is broken.
        TaskCancelledError: `watch` was asked to stop.
        StoreError: The store could not be written; what was committed before is kept.
    """
    report = report if report is not None else WorkReport()
    heart = Heartbeat(
        store.queue,
        options.worker,
        options.lease_s,
        report,
        patience_s=options.patience_s,
        watch=watch,
    )
    try:
        heart.beat()
        heart.patience.with_store(lambda: bury(store.queue))
        while not _shift(store, load_embedder, watch, options, heart).run():
            pass
    except BaseException as error:
        # What broke the engine, or this program, may be one of the rows in hand.
        is_ours = isinstance(error, EmbedwellError | KeyboardInterrupt)
        _leave(store, heart, lost=isinstance(error, EngineError) or not is_ours)
        raise
    _leave(store, heart, lost=False)
    return report


def _shift(
    store: Store,
    load_embedder: LoadEmbedder,
    watch: Watch,
    options: WorkOptions,
    heart: Heartbeat,
) -> Shift:
    """A shift for the spaces that the store has now."""
    for left in reversed(range(_TRIES)):
        try:
            lanes = heart.patience.with_store(lambda: lanes_of(store, load_embedder))
        except SpaceMovedError:  # in this very moment
            if not left:
                raise
        else:
            return Shift(store, lanes, watch, options, heart)
    raise AssertionError  # the loop returns or raises


def _leave(store: Store, heart: Heartbeat, *, lost: bool) -> None:
    """Give back what was claimed, and be no more."""
    with suppress(StoreError, TaskCancelledError):  # else the leases end by themselves
        store.queue.release(heart.name, lost=lost)
        heart.add_metrics()
        store.queue.forget_worker(heart.name)
