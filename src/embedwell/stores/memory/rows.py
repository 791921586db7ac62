"""Rows of the queue in memory, and what a purge takes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from embedwell.stores import leases
from embedwell.stores.queue import (
    LOST_DEAD,
    Item,
    Lately,
    Run,
    Source,
    Status,
    Tally,
    Which,
    Worker,
)
from embedwell.stores.values import Document


@dataclass
class Row:
    """A row of `files_queue`; `Queue` says what each field is."""

    id: int
    source: int
    run: int
    item: Item
    priority: int
    status: Status = "pending"
    attempts: int = 0
    failures: int = 0
    losses: int = 0
    error: str = ""
    worker: str = ""
    not_before: float = 0.0
    lease_end: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    n_chunks: int = 0
    seconds: float = 0.0

    def lose(self) -> None:
        """Its worker was lost."""
        self.losses += 1
        self.worker = ""
        self.status = "pending"
        if self.losses >= LOST_DEAD:
            self.status, self.error = "dead", leases.LOST


@dataclass(frozen=True)
class Documents:
    """What the queue has to know of the documents beside it.

    Attributes:
        held: The documents by key.
        n_chunks: How many chunks one has.
        n_vectors: How many vectors, in all spaces.
        remove: Removes some.
    """

    held: Mapping[str, Document]
    n_chunks: Callable[[str], int]
    n_vectors: Callable[[str], int]
    remove: Callable[[Iterable[str]], int]


@dataclass(frozen=True)
class Purge:
    """What a purge takes.

    Attributes:
        which: What was asked for.
        rows: The rows that go.
        documents: All that are there, by key.
        sources: The same, by number.
    """

    which: Which
    rows: Sequence[Row]
    documents: Mapping[str, Document]
    sources: Mapping[int, Source]

    @property
    def keys(self) -> set[str]:
        """Documents that go: those of the rows; also those without, of a whole source or of all."""
        if self.which == Which():
            return set(self.documents)
        source_of = {row.item.key: row.source for row in self.rows}
        whole = set()
        if self.which == Which(source=self.which.source):
            whole = {one.number for one in self.sources.values() if one.name == self.which.source}
        return {
            key
            for key, document in self.documents.items()
            if document.source is not None
            and (document.source == source_of.get(key) or document.source in whole)
        }

    def sources_left(
        self, sources: Mapping[int, Source], rows: Mapping[str, Row]
    ) -> dict[int, Source]:
        """All but those of which this leaves nothing."""
        touched = {row.source for row in self.rows}
        gone = self.keys
        used = {document.source for key, document in self.documents.items() if key not in gone}
        used |= {row.source for row in rows.values()}
        return {
            number: source
            for number, source in sources.items()
            if self.which != Which()
            and (number in used or not (number in touched or source.name == self.which.source))
        }

    def runs_left(self, runs: Mapping[int, Run], rows: Mapping[str, Row]) -> dict[int, Run]:
        """All but those of which this leaves nothing."""
        touched = {row.run for row in self.rows} | {self.which.run}
        used = {row.run for row in rows.values()}
        return {
            number: run
            for number, run in runs.items()
            if self.which != Which() and (number in used or number not in touched)
        }


def run_with(run: Run, counts: leases.Counted) -> Run:
    """A run with more finished rows."""
    return replace(
        run,
        n_done=run.n_done + counts.n_done,
        n_failed=run.n_failed + counts.n_failed,
        n_skipped=run.n_skipped + counts.n_skipped,
        n_empty=run.n_empty + counts.n_empty,
        n_chunks=run.n_chunks + counts.n_chunks,
        n_tokens=run.n_tokens + counts.n_tokens,
        n_bytes=run.n_bytes + counts.n_bytes,
    )


def worker_with(worker: Worker, counts: leases.Counted) -> Worker:
    """A worker with more finished rows."""
    return replace(
        worker,
        n_done=worker.n_done + counts.n_done,
        n_failed=worker.n_failed + counts.n_failed,
        n_chunks=worker.n_chunks + counts.n_chunks,
    )


def tally_of(rows: Sequence[Row], since: float) -> Tally:
    """What rows of one status and format add up to."""
    late = [row for row in rows if row.finished_at is not None and row.finished_at >= since]
    began = [row.started_at for row in late if row.started_at is not None]
    ended = [row.finished_at for row in late if row.finished_at is not None]
    lately = Lately(*_sums(late), min(began, default=None), max(ended, default=None))
    return Tally(rows[0].status, rows[0].item.format, *_sums(rows), lately=lately)


def _sums(rows: Sequence[Row]) -> tuple[int, int, float, int]:
    n_bytes = sum(row.item.size_bytes for row in rows)
    n_chunks = sum(row.n_chunks for row in rows)
    return len(rows), n_bytes, sum(row.seconds for row in rows), n_chunks
