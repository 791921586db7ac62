"""Bring a store up to date with a folder: sweep it, then work the queue off."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from embedwell.core.events import Watch
from embedwell.ingest.sources.folder import Folder
from embedwell.ingest.sources.registry import Surroundings, open_source
from embedwell.ingest.walk import Skipped
from embedwell.jobs.put import LoadEmbedder
from embedwell.jobs.sweep import Swept, sweep
from embedwell.jobs.work import WorkOptions, WorkReport, work
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Source


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


def index_folder(
    folder: Path,
    store: Store,
    load_embedder: LoadEmbedder,
    size_factor: float,
    watch: Watch,
    *,
    place: str = "",
    canary_at: int = 0,
    all_anew: bool = False,
) -> IndexReport:
    """Index what is new or changed in a folder and drop what has gone.

    Every commit holds whole documents: whenever the run is stopped, what it reported is kept and
    the next run goes on from there.

    Args:
        folder: An existing folder.
        store: Its index.
        load_embedder: Gives an embedder admitted to the store; only called if it is needed.
        size_factor: Multiplies the size limit of every format.
        watch: Told of progress in bytes; stops the run within a batch, as of the last commit.
        place: What the store calls the folder: empty for the one that it lies in.
        canary_at: Documents after which the run checks itself; 0 for never.
        all_anew: Whether files that did not change are read and cut anew too.

    Raises:
        CanaryError: The run checked itself and stopped.
        TaskCancelledError: `watch` was asked to stop.
        StoreError: The store could not be written; what was committed before is kept.
    """
    began = time.perf_counter()
    with store.writing():
        source = source_at(store, "folder", place, folder.resolve().name or "folder")
        reader = Folder(folder, size_factor)
        swept = sweep(store, source, reader, watch, canary_at=canary_at, all_anew=all_anew)
    around = Surroundings(size_factor=size_factor, moved={source.name: folder})
    readers = partial(open_source, around=around)
    done = WorkReport()
    if swept.n_queued or swept.n_waiting:
        done = work(store, load_embedder, watch, WorkOptions(worker_name(), readers))
    return _report(swept, done, time.perf_counter() - began)


def source_at(
    store: Store, kind: str, place: str, name: str, options: Mapping[str, Any] | None = None
) -> Source:
    """The source of a kind at a place, made if it is not there.

    Raises:
        QueueError: Another source has the name.
    """
    for source in store.queue.sources():
        if (source.kind, source.place) == (kind, place):
            return source
        if source.kind == kind and not source.place and not source.prefix:
            # An older embedwell wrote it and did not say where it was.
            found = replace(source, place=place)
            store.queue.set_source(found)
            return found
    return store.queue.add_source(kind, name, place, socket.gethostname(), options or {})


def worker_name() -> str:
    """A name that no other worker has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


def _report(swept: Swept, done: WorkReport, took_s: float) -> IndexReport:
    return IndexReport(
        n_added=done.n_added,
        n_updated=done.n_updated,
        n_unchanged=swept.n_unchanged + done.n_unchanged,
        n_removed=swept.n_removed,
        n_chunks=done.n_chunks,
        n_embedded=done.n_embedded,
        n_reused=done.n_chunks - done.n_embedded,
        n_truncated=done.n_truncated,
        skipped=swept.skipped,
        failed=done.failed,
        notes=done.notes,
        took_s=took_s,
    )
