"""Bring an index up to date with a folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from embedwell.core.errors import ExtractionError
from embedwell.core.events import Watch
from embedwell.ingest.extract import extract
from embedwell.ingest.formats import Format, format_of
from embedwell.ingest.prepare import Prepared, prepare
from embedwell.ingest.read import read_stable
from embedwell.ingest.walk import Candidate, Skipped, walk
from embedwell.jobs.changes import compare
from embedwell.jobs.put import LoadEmbedder, embed_and_put
from embedwell.stores.protocol import Document, Stat, Store

# Documents are embedded and committed together until they hold this many chunks: enough to fill
# batches across documents, little enough that a crash loses seconds.
_CHUNKS_PER_COMMIT = 256


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
        all_anew: Whether files that did not change are read and cut anew too.

    Raises:
        TaskCancelledError: `watch` was asked to stop.
        StoreError: The store could not be written; what was committed before is kept.
    """
    began = time.perf_counter()
    report = IndexReport()
    stored = store.stats()
    formats = worth_indexing(folder, size_factor, report.skipped.append)
    changes = compare(formats, stored)
    to_read = tuple(formats) if all_anew else changes.to_read
    report.n_unchanged = len(formats) - len(to_read)
    if to_read:
        run = _Run(store, load_embedder, stored, watch, report, all_anew)
        run.add({candidate: formats[candidate] for candidate in to_read})
    if changes.gone:
        report.n_removed = store.delete(changes.gone)
    report.took_s = time.perf_counter() - began
    return report


def worth_indexing(
    folder: Path, size_factor: float, on_skipped: Callable[[Skipped], None]
) -> dict[Candidate, Format]:
    """Files of a known format within its size limit."""
    found = {}
    for candidate in walk(folder, on_skipped):
        form = format_of(candidate.path.name, size_factor)
        if form is None:
            continue
        if candidate.size_bytes <= form.max_bytes:
            found[candidate] = form
        else:
            reason = f"is {candidate.size_bytes:,} bytes, the limit is {form.max_bytes:,}"
            on_skipped(Skipped(candidate.key, reason))
    return found


@dataclass
class _Run:
    """One pass over the files that have to be read."""

    store: Store
    load_embedder: LoadEmbedder
    stored: Mapping[str, Stat]
    watch: Watch
    report: IndexReport
    all_anew: bool
    pending: list[Prepared] = field(default_factory=list)
    n_pending: int = 0
    touched: dict[str, Stat] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._look_at_store()

    def _look_at_store(self) -> None:
        """How documents are cut from now on: asked once a commit, since others may change it."""
        self.token_starts = self.load_embedder().token_starts
        self.chunk_tokens = self.store.settings.chunk_tokens

    def add(self, todo: Mapping[Candidate, Format]) -> None:
        total, done = sum(candidate.size_bytes for candidate in todo), 0
        for candidate, form in todo.items():
            self.watch.progress("index", done, total, "bytes")
            self._read(candidate, form)
            done += candidate.size_bytes
            if self.n_pending >= _CHUNKS_PER_COMMIT:
                self._commit()
        self._commit()
        self.watch.progress("index", total, total, "bytes")

    def _read(self, candidate: Candidate, form: Format) -> None:
        try:
            data, status = read_stable(candidate.path)
        except (OSError, ExtractionError) as error:
            self.report.failed.append(Skipped(candidate.key, str(error)))
            return
        stat = Stat(status.st_size, status.st_mtime_ns, hashlib.sha256(data).hexdigest())
        before = self.stored.get(candidate.key)
        is_same = before is not None and before.sha256 == stat.sha256
        if is_same and not self.all_anew:
            self.touched[candidate.key] = stat
            self.report.n_unchanged += 1
            return
        prepared = self._prepare(candidate, form, data, stat)
        self.pending.append(prepared)
        self.n_pending += len(prepared.chunks)
        if before is None:
            self.report.n_added += 1
        else:
            self.report.n_updated += 1

    def _prepare(self, candidate: Candidate, form: Format, data: bytes, stat: Stat) -> Prepared:
        document = Document(
            candidate.key, stat.size_bytes, stat.mtime_ns, stat.sha256, form.kind, form.language
        )
        try:
            extracted = extract(data, form)
        except ExtractionError as error:
            self.report.failed.append(Skipped(candidate.key, str(error)))
            return Prepared(document, [], [])
        self.report.notes += [Skipped(candidate.key, note) for note in extracted.notes]
        return prepare(document, extracted, self.token_starts, self.chunk_tokens)

    def _commit(self) -> None:
        if self.touched:
            self.store.touch(self.touched)
            self.touched.clear()
        if not self.pending:
            return
        quiet = Watch(cancelled=self.watch.cancelled)  # progress is told in bytes of files
        filled = embed_and_put(self.pending, self.store, self.load_embedder, quiet)
        self.report.n_chunks += self.n_pending
        self.report.n_embedded += filled.n_embedded
        self.report.n_reused += filled.n_reused
        self.report.n_truncated += filled.n_truncated
        self.pending.clear()
        self.n_pending = 0
        self._look_at_store()
