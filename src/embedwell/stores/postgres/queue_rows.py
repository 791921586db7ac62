"""Rows of the queue's tables, and what they stand for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from embedwell.stores.postgres.database import Row
from embedwell.stores.postgres.texts import from_stored, to_stored
from embedwell.stores.queue import (
    Entry,
    Item,
    Lately,
    Metrics,
    Outcome,
    Run,
    Source,
    Tally,
    Task,
    Worker,
)


def source_of(row: Row) -> Source:
    """A source from the columns of `queue_statements.SOURCES`."""
    return Source(*(*_read(row[:6]), json.loads(row[6])))


def run_of(row: Row) -> Run:
    """A run from the columns of `queue_statements.RUNS`."""
    return Run(*(*_read(row[:-1]), json.loads(row[-1])))


def task_of(row: Row, worker: str) -> Task:
    """A task from the columns that `queue_statements.LEASE` gives."""
    _, number, source, run, *about = _read(row)
    attempt, failures, sha256 = about[6:]
    return Task(number, source, run, Item(*about[:6]), attempt, failures, sha256, worker)


def tally_of(row: Row) -> Tally:
    """A tally from the columns of `queue_statements.TALLY`."""
    values = _read(row)
    return Tally(*(*values[:6], Lately(*values[6:])))


def entry_of(row: Row) -> Entry:
    """An entry from the columns of `queue_statements.ENTRIES`."""
    values = _read(row)
    return Entry(*(Item(*values[:6]), *values[6:]))


def worker_of(row: Row) -> Worker:
    """A worker from the columns of `queue_statements.WORKERS`."""
    return Worker(*_read(row))


def metrics_of(row: Row) -> Metrics:
    """Metrics from the columns of `queue_statements.METRICS`."""
    return Metrics(*_read(row))


def item_columns(items: Sequence[Item]) -> dict[str, list[Any]]:
    """What `queue_statements.ENQUEUE` takes of items, by its parameters' names."""
    return {
        "keys": [to_stored(item.key) for item in items],
        "formats": [to_stored(item.format) for item in items],
        "sizes": [item.size_bytes for item in items],
        "mtimes": [item.mtime_ns for item in items],
        "payloads": [to_stored(item.payload) for item in items],
        "anew": [item.anew for item in items],
    }


def outcome_columns(outcomes: Sequence[Outcome]) -> list[list[Any]]:
    """What `queue_statements.FINISH` takes of outcomes, in its order."""
    return [list(column) for column in zip(*map(_outcome_row, outcomes), strict=True)]


def _outcome_row(outcome: Outcome) -> Row:
    times = outcome.times
    return (
        outcome.task.id,
        outcome.status,
        to_stored(outcome.error),
        outcome.retry_s,
        outcome.status in {"pending", "dead", "failed"},
        outcome.status in {"done", "skipped"},
        outcome.n_chunks,
        outcome.n_tokens,
        *(times.read_s, times.extract_s, times.chunk_s, times.embed_s, times.write_s),
    )


def _read(row: Row) -> Row:
    return tuple(from_stored(value) if isinstance(value, str) else value for value in row)
