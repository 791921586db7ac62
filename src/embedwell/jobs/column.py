"""Move a column of an application's own table to another space while it is read and written."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from embedwell.core.errors import BadTextsError, MigrationError, StoreBusyError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray, check_vectors
from embedwell.handshake.column import ColumnEmbedder
from embedwell.runtime.protocol import TextEmbedder
from embedwell.stores.columns import ColumnFacts, ColumnRow, ColumnSpace, ColumnStore

# Written together: enough to fill batches of the engine; their rows are held for milliseconds.
_ROWS_PER_COMMIT = 256
_TIMED = 64
_CHECKED = 64
# Without an index each search reads the whole table.
_CHECKED_UNINDEXED = 16
_DEPTH = 10
# A row asked for by its own text must come first or nearly so; an index may miss a few.
_MOST_LOST = 0.05
_ROUNDS = 1000
# Rounds after which as many rows are missing as before, for they are held or written: a minute.
_PAUSE_S = 0.2
_MOST_TRIES = 300
# Bytes of a value: the vector's own head, see pgvector's `Vector` and `HalfVector`.
_VALUE_BYTES = {"vector": 4, "halfvec": 2}
_HEAD_BYTES = 8
# The most dimensions of an index, by type: https://github.com/pgvector/pgvector#hnsw.
_MOST_DIMENSIONS = {"vector": 2000, "halfvec": 4000}


@dataclass(frozen=True)
class ColumnPlan:
    """What moving a column would do.

    Attributes:
        facts: What is there.
        from_model: Model of the column's vectors, where it is known; else empty.
        to_model: Model of the new ones.
        to_artifact: What computes them here.
        dimensions: The new length.
        rows_per_s: Measured just now on a sample.
        seconds: Estimate for what is missing, without building indexes.
        bytes: Estimate of what the table and its indexes grow by, until the old vectors are gone.
        n_truncated: Rows of the sample whose text is longer than the new model takes.
        n_sampled: Rows of the sample.
    """

    facts: ColumnFacts
    from_model: str
    to_model: str
    to_artifact: str
    dimensions: int
    rows_per_s: float
    seconds: float
    bytes: int
    n_truncated: int
    n_sampled: int


@dataclass(frozen=True)
class ColumnReport:
    """What moving a column did.

    Attributes:
        to_model: Model of its vectors now.
        n_embedded: Rows embedded in this run.
        n_checked: Rows whose own text was asked for before the switch.
        n_found: Those that came among the first ten.
        locked_s: Seconds that the table was locked for the switch.
        took_s: Seconds in all.
    """

    to_model: str
    n_embedded: int
    n_checked: int
    n_found: int
    locked_s: float
    took_s: float


def begun(
    column: ColumnStore,
    space: Space,
    artifact: str,
    gives_others: Callable[[ColumnSpace], bool],
) -> ColumnSpace | None:
    """What there is of the space that a column would move to; None where nothing is.

    Args:
        column: What would be moved.
        space: The new space.
        artifact: Name of what is to compute it.
        gives_others: Whether that computes other vectors now than those of its name.

    Raises:
        MigrationError: It is there already, or another migration or kept column is in the way.
    """
    found = {one.role: one for one in column.spaces()}
    main, next_ = found.get("main"), found.get("next")
    is_there = main is not None and (main.space, main.artifact) == (space, artifact)
    if main is not None and is_there and next_ is None and not gives_others(main):
        raise MigrationError(
            f"The vectors of {column.shown} are of {artifact} already.",
            "Name another with `--to`.",
        )
    if next_ is not None and (next_.space, next_.artifact) != (space, artifact):
        raise MigrationError(
            f"A migration of {column.shown} to {next_.artifact} was begun already.",
            "Finish it with the same `--to`, or give it up with `--drop next`.",
        )
    return next_


def plan(column: ColumnStore, space: Space, embedder: TextEmbedder) -> ColumnPlan:
    """Look at what moving a column would take; nothing is written.

    Args:
        column: What would be moved.
        space: The new space.
        embedder: Of the new model.

    Raises:
        MigrationError: It cannot be moved.
    """
    facts = check(column, space)
    texts = [row.text for row in column.sample(_TIMED)]
    embedder.embed(texts[:1], "document", Watch())  # loads what is loaded at first use
    started = time.perf_counter()
    embedded = embedder.embed(texts, "document", Watch())
    rate = max(len(texts), 1) / max(time.perf_counter() - started, 1e-6)
    main = [one.space.model for one in column.spaces() if one.role == "main"]
    return ColumnPlan(
        facts=facts,
        from_model=main[0] if main else "",
        to_model=space.model,
        to_artifact=embedded.artifact,
        dimensions=space.dimensions,
        rows_per_s=rate,
        seconds=facts.n_missing / rate,
        bytes=_growth(facts, space.dimensions),
        n_truncated=embedded.n_truncated,
        n_sampled=len(texts),
    )


def check(column: ColumnStore, space: Space) -> ColumnFacts:
    """What is there, if it can be moved to a space.

    Raises:
        MigrationError: It cannot be.
    """
    facts = column.facts(space.dimensions)
    if not facts.n_with_text:
        raise MigrationError(
            f"No row of {facts.table} has a text to embed.", "Name another column with `--text`."
        )
    most = _MOST_DIMENSIONS[facts.kind]
    if facts.indexes and space.dimensions > most:
        raise MigrationError(
            f"An index over a column of type {facts.kind} takes at most {most:,} dimensions, and "
            f"{space.model} has {space.dimensions:,}.",
            "Drop the indexes of the column first, or take a model of fewer dimensions.",
        )
    return facts


def migrate_column(
    column: ColumnStore,
    embedder: ColumnEmbedder,
    watch: Watch,
    *,
    keep_old: bool = False,
    rows_per_s: float = 0.0,
) -> ColumnReport:
    """Fill the new column, look whether it is good, and put it in the place of the old one.

    Args:
        column: A migration of it was begun.
        embedder: Of the new space.
        watch: Told of progress, asked to stop.
        keep_old: Whether the old column stays beside the new one.
        rows_per_s: Most rows embedded in a second; 0 for as many as can be.

    Raises:
        MigrationError: The new vectors are not good.
        DriftError: What embeds is not fit for the column.
        StoreBusyError: The application holds the table or rows of it for too long, or writes
            faster than its rows are embedded.
        TaskCancelledError: `watch` was asked to stop; what was written is kept.
    """
    started = time.perf_counter()
    n_embedded = fill_column(column, embedder, watch, rows_per_s)
    validated = False
    for _ in range(_ROUNDS):
        column.build_indexes(watch)
        n_embedded += fill_column(column, embedder, watch, rows_per_s)
        if not validated:
            n_checked, n_found = _validate(column, embedder, watch)
            validated = True
        done = column.switch(lambda rows: _vectors(embedder, rows, watch), watch, keep=keep_old)
        if done is not None:
            column.finish(watch)
            return ColumnReport(
                to_model=embedder.embedder.space.model,
                n_embedded=n_embedded + done.n_filled,
                n_checked=n_checked,
                n_found=n_found,
                locked_s=done.locked_s,
                took_s=time.perf_counter() - started,
            )
    raise _not_catching_up(column, column.n_missing())


def fill_column(
    column: ColumnStore, embedder: ColumnEmbedder, watch: Watch, rows_per_s: float = 0.0
) -> int:
    """Embed every row that the new column lacks, again until none is missing.

    Returns:
        How many vectors were written.

    Raises:
        BadTextsError: The engine failed on a row; the others of its batch are written.
        StoreBusyError: Rows are held by others, or written faster than they are embedded.
    """
    done, least, n_tries, started = 0, 0, 0, time.monotonic()
    while missing := column.n_missing():
        n_tries = n_tries + 1 if least and missing >= least else 0
        least = min(least, missing) or missing
        if n_tries > _MOST_TRIES:
            raise _not_catching_up(column, missing)
        watch.cancelled.wait(_PAUSE_S if n_tries else 0.0)
        total, after = done + missing, None
        while rows := column.missing(after, _ROWS_PER_COMMIT):
            watch.progress("fill", done, max(total, done), "rows")
            done += _fill(column, embedder, rows, watch)
            after = rows[-1].key
            if rows_per_s:
                watch.cancelled.wait(max(0.0, started + done / rows_per_s - time.monotonic()))
            watch.check("fill")
    watch.progress("fill", done, done, "rows")
    return done


def _not_catching_up(column: ColumnStore, missing: int) -> StoreBusyError:
    return StoreBusyError(
        f"{missing:,} rows of {column.shown} are held by another transaction, or rows are written "
        "faster than they are embedded.",
        "Run the same again when less is written; what is embedded is kept.",
    )


def _fill(
    column: ColumnStore, embedder: ColumnEmbedder, rows: list[ColumnRow], watch: Watch
) -> int:
    try:
        vectors = _vectors(embedder, rows, watch)
    except BadTextsError as error:
        good = np.flatnonzero(np.isfinite(error.vectors).all(axis=1))
        column.fill([rows[at] for at in good], error.vectors[good])
        raise
    return column.fill(rows, vectors)


def _vectors(embedder: ColumnEmbedder, rows: Sequence[ColumnRow], watch: Watch) -> FloatArray:
    quiet = Watch(cancelled=watch.cancelled)
    vectors = embedder.embed([row.text for row in rows], quiet)
    check_vectors(vectors, embedder.embedder.space.dimensions)
    return vectors


def _validate(column: ColumnStore, embedder: ColumnEmbedder, watch: Watch) -> tuple[int, int]:
    """Ask for a sample of rows by their own texts; how many, and how many were found."""
    rows = column.sample(_CHECKED if column.is_indexed else _CHECKED_UNINDEXED)
    asked = _vectors(embedder, rows, watch)
    n_found = 0
    for at, (row, vector) in enumerate(zip(rows, asked, strict=True)):
        watch.progress("check", at, len(rows), "rows")
        n_found += int(column.finds(row, vector, _DEPTH))
    if n_found < (1 - _MOST_LOST) * len(rows):
        raise MigrationError(
            f"Only {n_found} of {len(rows)} rows of {column.shown} are found by their own text "
            "among the new vectors; nothing was switched.",
            "Run the same again; or give the new vectors up with `--drop next`.",
        )
    return len(rows), n_found


def _growth(facts: ColumnFacts, dimensions: int) -> int:
    """Bytes: each row is written once more, with its new vector, and indexed as before."""
    value = _VALUE_BYTES[facts.kind] * dimensions + _HEAD_BYTES
    share = dimensions / facts.dimensions if facts.dimensions else 1.0
    return int(facts.n_missing * (facts.row_bytes + value) + facts.index_bytes * share)
