"""Work off a store's queue: read, extract, cut, embed and store, all at once.

The calling thread owns the store: it claims, looks known vectors up, writes, and renews its leases.
A second thread reads and cuts, a third embeds. What is between them is bounded, so that memory is
too, and the embedder has its next batch before it is done with one.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from embedwell.core.embedded import Embedded
from embedwell.core.errors import BadTextsError, CanaryError, SpaceMovedError, StoreError
from embedwell.core.events import Watch
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.ingest.sources.protocol import SourceReader
from embedwell.ingest.walk import Skipped
from embedwell.jobs.group import Group
from embedwell.jobs.patience import Patience
from embedwell.jobs.prepare import Cutting, Extract, Ready, extract_here, prepare_task
from embedwell.jobs.put import LoadEmbedder
from embedwell.jobs.stage import Stage
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Queue, Source, Task, Worker

# Embedded and committed together until they hold this many chunks: enough to fill batches across
# documents, little enough that a crash loses seconds.
_CHUNKS_AT_ONCE = 256
_GROUPS_AHEAD = 2
_IDLE_S = 0.2

Readers = Callable[[Source], SourceReader]
"""Gives the reader of a source."""


@dataclass(frozen=True)
class WorkOptions:
    """How a worker works.

    Attributes:
        name: Of this worker; unique.
        readers: Give the readers of the store's sources.
        batch_size: Rows that are claimed at once.
        lease_s: Seconds that a claim lasts without being renewed.
        patience_s: Seconds for which the database may be away.
        extract: Turns what was read into text.
    """

    name: str
    readers: Readers
    batch_size: int = 100
    lease_s: float = 30.0
    patience_s: float = 60.0
    extract: Extract = extract_here


@dataclass
class WorkReport:
    """What a worker did.

    Attributes:
        n_added: Documents that were not in the store.
        n_updated: Documents whose content had changed.
        n_unchanged: Rows whose bytes were those that are stored, or that had gone.
        n_chunks: Chunks that were stored.
        n_embedded: Texts that went through the model.
        n_truncated: Texts that were longer than the model takes.
        n_bytes: Bytes of the rows that are through.
        failed: What could not be read or embedded, and why.
        notes: What was indexed in part.
    """

    n_added: int = 0
    n_updated: int = 0
    n_unchanged: int = 0
    n_chunks: int = 0
    n_embedded: int = 0
    n_truncated: int = 0
    n_bytes: int = 0
    failed: list[Skipped] = field(default_factory=list)
    notes: list[Skipped] = field(default_factory=list)


def work(
    store: Store,
    load_embedder: LoadEmbedder,
    watch: Watch,
    options: WorkOptions,
) -> WorkReport:
    """Work until nothing is pending or leased any more.

    Others may do the same at the same time. Stopped at any moment, what was stored is kept, and
    what was claimed is given back; killed, its claims end by themselves.

    Args:
        store: Whose queue.
        load_embedder: Gives an embedder admitted to the store; it proves itself before the first
            claim.
        watch: Told of progress in bytes; stops within a batch.
        options: How.

    Raises:
        CanaryError: The run checked itself and stopped.
        DriftError: The embedder's build is not fit for the store.
        TaskCancelledError: `watch` was asked to stop.
        StoreError: The store could not be written; what was committed before is kept.
    """
    report = WorkReport()
    try:
        store.queue.report(Worker(options.name, socket.gethostname(), os.getpid()))
        bury(store.queue)
        while not _Shift(store, load_embedder(), watch, options, report).run():
            pass
    finally:
        with suppress(StoreError):  # else its leases end by themselves
            store.queue.release(options.name)
            store.queue.forget_worker(options.name)
    return report


def bury(queue: Queue) -> None:
    """Take the leases of this machine's workers that are no more, without waiting for their end."""
    here = socket.gethostname()
    for worker in queue.workers():
        if worker.host == here and not psutil.pid_exists(worker.pid):
            queue.release(worker.name, lost=True)
            queue.forget_worker(worker.name)


@dataclass(frozen=True)
class Embedding:
    """What the engine gave for a group.

    Attributes:
        found: Its vectors, not yet admitted.
        failures: Why texts failed, by their place.
        took_s: Seconds.
    """

    found: Embedded
    failures: Mapping[int, str]
    took_s: float


class _Shift:
    """Working with one embedder, until there is nothing to do or the store moves on to another."""

    def __init__(
        self,
        store: Store,
        embedder: AdmittedEmbedder,
        watch: Watch,
        options: WorkOptions,
        report: WorkReport,
    ) -> None:
        self._store = store
        self._queue = store.queue
        self._embedder = embedder
        self._watch = watch
        self._options = options
        self._report = report
        self._patience = Patience(options.patience_s, watch)
        self._sources: dict[int, tuple[str, SourceReader]] = {}
        self._cutting = Cutting(embedder.token_starts, store.settings.chunk_tokens)
        self._wake = threading.Event()
        self._ready: list[Ready] = []
        self._groups: list[Group] = []  # at the embedder, in the order in which they come back
        self._renewed_at = time.monotonic()
        left = [row for row in self._queue.tally() if row.status in {"pending", "leased"}]
        self._total_bytes = report.n_bytes + sum(row.n_bytes for row in left)
        self._prepare: Stage[Task, Ready] = Stage("prepare", self._prepared, self._wake.set)
        self._embed: Stage[Group, Embedding] = Stage("embed", self._embedding, self._wake.set)

    def run(self) -> bool:
        """Work; gives whether all is done, rather than the store having moved on."""
        try:
            self._embedder.greet(self._quiet)
            while True:
                self._wake.clear()
                self._watch.check("index")
                moved = self._store_embedded()
                moved |= self._collect()
                moved |= self._send()
                moved |= self._claim()
                self._renew()
                if not moved and self._is_idle:
                    if self._is_over():
                        return True
                    bury(self._queue)
                if not moved:
                    self._wake.wait(_IDLE_S)
        except SpaceMovedError:
            self._patience.with_store(lambda: self._queue.release(self._options.name))
            return False
        finally:
            self._prepare.close()
            self._embed.close()

    @property
    def _quiet(self) -> Watch:
        return Watch(cancelled=self._watch.cancelled)  # progress is told in bytes of files

    @property
    def _is_idle(self) -> bool:
        return not (self._prepare.n_inside or self._ready or self._groups)

    def _is_over(self) -> bool:
        """Whether nothing is left for anybody; asked when there is nothing to do here."""
        self._patience.with_store(self._queue.close_run)
        run = self._patience.with_store(self._queue.run)
        if run is not None and run.status == "stopped":
            raise CanaryError(run.reason, "Mend it, then `embedwell index --resume`.", run.report)
        return run is None or run.status == "done"

    def _claim(self) -> bool:
        """Have the next rows read while those before are embedded."""
        if self._prepare.n_inside > self._options.batch_size // 2:
            return False
        if self._embed.n_inside >= _GROUPS_AHEAD and self._n_ready >= _CHUNKS_AT_ONCE:
            return False
        name, n, lease_s = self._options.name, self._options.batch_size, self._options.lease_s
        tasks = self._patience.with_store(lambda: self._queue.claim(name, n, lease_s))
        for task in tasks:
            self._open_source(task.source)
            self._prepare.put(task)
        return bool(tasks)

    def _open_source(self, number: int) -> None:
        if number not in self._sources:
            for source in self._queue.sources():
                self._sources[source.number] = source.prefix, self._options.readers(source)

    def _prepared(self, task: Task) -> Ready:
        """In the thread that reads."""
        prefix, reader = self._sources[task.source]
        return prepare_task(task, prefix, reader, self._options.extract, self._cutting)

    def _collect(self) -> bool:
        """Take what was read, until it makes a group."""
        moved = False
        while self._n_ready < _CHUNKS_AT_ONCE and (found := self._prepare.take()):
            _, ready = found
            if isinstance(ready, Exception):
                raise ready
            self._ready.append(ready)
            moved = True
        return moved

    @property
    def _n_ready(self) -> int:
        return sum(ready.outcome.n_chunks for ready in self._ready)

    def _send(self) -> bool:
        """Send what makes a group, or what there is where the embedder has nothing else."""
        is_full = self._n_ready >= _CHUNKS_AT_ONCE
        is_last = bool(self._ready) and not self._prepare.n_inside and not self._embed.n_inside
        if self._embed.n_inside >= _GROUPS_AHEAD or not (is_full or is_last):
            return False
        group = Group(self._ready)
        self._ready = []
        promised = frozenset(name for other in self._groups for name in other.new)
        names, number = list(group.texts), self._embedder.number
        known = self._patience.with_store(lambda: self._store.known_vectors(names, space=number))
        group.look_up(known, promised)
        self._groups.append(group)
        self._embed.put(group)
        return True

    def _embedding(self, group: Group) -> Embedding:
        """In the thread that embeds."""
        began = time.perf_counter()
        texts = list(group.new.values())
        try:
            found = self._embedder.unproven.embed(texts, "document", self._quiet)
            failures: Mapping[int, str] = {}
        except BadTextsError as error:
            found, failures = error.embedded, error.failures
        return Embedding(found, failures, time.perf_counter() - began)

    def _store_embedded(self) -> bool:
        """Write the group that was embedded first."""
        taken = self._embed.take()
        if taken is None:
            return False
        group, embedding = taken
        if isinstance(embedding, Exception):
            raise embedding
        if group.new:
            accepted = self._embedder.accept(embedding.found, self._quiet)
            while accepted is None:  # what computes changed since: the next one is admitted first
                embedding = self._embedding(group)
                accepted = self._embedder.accept(embedding.found, self._quiet)
            group.embedded(accepted, embedding.failures, embedding.took_s)
        self._groups.remove(group)
        group.lend(self._groups)
        self._put(group)
        return True

    def _put(self, group: Group) -> None:
        documents = group.documents(self._embedder.space.dimensions)
        outcomes, number = group.outcomes(), self._embedder.number
        touched = {row.outcome.task.item.key: row.stat for row in group.rows if row.stat}
        if touched:
            self._patience.with_store(lambda: self._store.touch(touched))
        lost = self._patience.with_store(
            lambda: self._store.put(documents, space=number, outcomes=outcomes)
        )
        self._count(group, lost)

    def _count(self, group: Group, lost: frozenset[int]) -> None:
        report = self._report
        for row, outcome in zip(group.rows, group.outcomes(), strict=True):
            if outcome.task.id in lost:
                continue
            key = outcome.task.item.key
            if outcome.status == "failed":
                report.failed.append(Skipped(key, outcome.error))
            if outcome.status == "skipped":
                report.n_unchanged += 1
            elif row.prepared is not None:
                report.n_added += not outcome.task.sha256
                report.n_updated += bool(outcome.task.sha256)
            report.n_chunks += outcome.n_chunks
            report.n_bytes += outcome.task.item.size_bytes
            report.notes += [Skipped(key, note) for note in row.notes]
        total = max(self._total_bytes, report.n_bytes)
        self._watch.progress("index", report.n_bytes, total, "bytes")
        report.n_embedded += group.n_embedded
        report.n_truncated += group.n_truncated

    def _renew(self) -> None:
        """Keep the leases, a few times before they would end."""
        if time.monotonic() - self._renewed_at < self._options.lease_s / 3:
            return
        name, lease_s = self._options.name, self._options.lease_s
        self._patience.with_store(lambda: self._queue.renew(name, lease_s))
        self._renewed_at = time.monotonic()
