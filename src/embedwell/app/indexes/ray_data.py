"""Index Parquet files on a Ray cluster: the stages of an ingestion as a Ray Data job.

Ray reads the files, spreads their rows over the cluster and starts what has died anew. Each actor
opens the index once, loads the model and proves it by the handshake; then it cuts, embeds and
stores one batch after another, each in a transaction. A row is named by its id, so that one that
comes twice, as after the death of a node, is stored once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from embedwell.app.config.configuration import load
from embedwell.app.config.place import shown_target, target_of
from embedwell.app.indexes.index import Index
from embedwell.app.indexes.opening import open_index
from embedwell.app.workers.fleet_work import raised
from embedwell.core.errors import (
    BadTextsError,
    EmbedwellError,
    ExtractionError,
    MissingExtraError,
    QueueError,
    StoreSetupError,
)
from embedwell.core.events import Watch
from embedwell.ingest.sources.records import Record, record, text_id
from embedwell.ingest.walk import Skipped
from embedwell.jobs.records import add_records
from embedwell.jobs.work.patience import Patience
from embedwell.stores.protocol import Store

_PATIENCE_S = 120.0

Batch = dict[str, list[Any]]
"""What an actor says of a batch: a first row with how many were stored, then what failed.

An error that ends the job is told in the first row, in JSON: Ray would give it as one of its own.
"""


@dataclass(frozen=True)
class ParquetReport:
    """What came of Parquet files.

    Attributes:
        n_stored: Rows that are in the index now.
        failed: Rows that are not, and why.
        took_s: Seconds.
    """

    n_stored: int
    failed: Sequence[Skipped] = field(default_factory=list)
    took_s: float = 0.0


def index_parquet(
    paths: str | Sequence[str],
    db: str | None = None,
    *,
    model: str | None = None,
    text: str = "text",
    id: str = "id",  # noqa: A002 - the usual name of the column
    n_actors: int = 2,
    cpus: int = 1,
    batch_size: int = 256,
) -> ParquetReport:
    """Cut, embed and store the rows of Parquet files, on all machines of a Ray cluster.

    Call `ray.init` first to choose the cluster; else Ray takes this machine. embedwell is
    installed on each node, with the model's files or a way to them. All columns beside text and
    id become metadata.

    Args:
        paths: Files or folders, as `ray.data.read_parquet` takes them; every node can read them.
        db: Address of a PostgreSQL database that every node can reach; by default the settings'.
        model: Of a new index; one that exists keeps its own.
        text: The column with the texts.
        id: The column with their names; without it a text names itself.
        n_actors: How many load the model.
        cpus: Of each actor, and threads of its engine.
        batch_size: Rows that are cut, embedded and stored together.

    Returns:
        How many rows were stored, and what failed; rows do not fail together.

    Raises:
        MissingExtraError: Ray is not installed.
        StoreSetupError: `db` is a file: several machines cannot write to it.
        QueueError: There is no column of that name.
        DriftError: What embeds on a node is not fit for the index; as an `EmbedwellError`.
        StoreError: The database cannot be used.
    """
    data = _ray_data()
    began = time.perf_counter()
    target = _address(db)
    rows = data.read_parquet(paths)
    if text not in rows.schema().names:
        raise QueueError(
            f"There is no column '{text}' in the Parquet files.",
            f"Name the one with the texts: {', '.join(rows.schema().names)}.",
        )
    with open_index(db=target, model=model) as index, _bulk(index.store, rows.count()):
        told = rows.map_batches(
            Indexer,
            fn_constructor_args=(target, cpus, text, id),
            compute=data.ActorPoolStrategy(size=n_actors),
            batch_size=batch_size,
            batch_format="pyarrow",
            num_cpus=cpus,
        )
        report = _added_up(told.iter_rows())
    return ParquetReport(report.n_stored, report.failed, time.perf_counter() - began)


class Indexer:
    """What each actor holds: an index, and its embedder, admitted.

    Args:
        target: Address of the database.
        threads: Of the engine.
        text: The column with the texts.
        id: The column with their names.

    """

    def __init__(self, target: str, threads: int, text: str, id: str) -> None:  # noqa: A002
        self._columns = text, id
        self._patience = Patience(_PATIENCE_S, Watch())
        self._index: Index | None = None
        self._refusal = ""
        try:
            self._index = open_index(db=target, threads=threads, create=False)
            self._index.load()
        except EmbedwellError as error:
            self._refusal = _told(error)

    def __call__(self, table: Any) -> Batch:  # noqa: ANN401 - a pyarrow.Table
        """Store the rows of a batch."""
        failed: list[Skipped] = []
        found: dict[str, Record] = {}
        for row in table.to_pylist():
            one = _record(row, *self._columns)
            if isinstance(one, Skipped):
                failed.append(one)
            else:
                found[one.id] = one
        error = self._refusal
        try:
            failed += self._store(list(found.values())) if not error else []
        except EmbedwellError as refusal:
            error = _told(refusal)
        return {
            "n_stored": [table.num_rows - len(failed)] + [0] * len(failed),
            "key": ["", *(one.key for one in failed)],
            "reason": ["", *(one.reason for one in failed)],
            "error": [error, *("" for _ in failed)],
        }

    def _store(self, records: Sequence[Record]) -> list[Skipped]:
        """Store records; those that cannot be are found by halves."""
        if not records or self._index is None:
            return []
        put = partial(add_records, records, self._index.store, self._index.embedders.loader())
        try:
            self._patience.with_store(put)
        except (BadTextsError, ExtractionError) as error:
            if len(records) == 1:
                return [Skipped(records[0].id, str(error), "failed")]
            middle = len(records) // 2
            return self._store(records[:middle]) + self._store(records[middle:])
        return []


def _ray_data() -> Any:  # noqa: ANN401 - a module without types
    try:
        import ray.data  # noqa: PLC0415 - an extra, and slow
    except ImportError as error:
        raise MissingExtraError("Indexing Parquet files on a cluster", "ray") from error
    return ray.data


def _address(db: str | None) -> str:
    target = target_of(load({"db": db}).settings, Path(), create=True)
    if isinstance(target, Path):
        raise StoreSetupError(
            f"{shown_target(target)} is a file, to which several machines cannot write.",
            "Give the address of a PostgreSQL database: `db=postgresql://…`.",
        )
    return target


@contextmanager
def _bulk(store: Store, n_rows: int) -> Iterator[None]:
    """Have the index over the vectors wait for the end of a large load."""
    store.queue.open_run(0)
    store.tend_index(n_rows, Watch())
    try:
        yield
    finally:
        store.queue.close_run()
        store.tend_index(0, Watch())


def _record(row: Mapping[str, Any], text: str, id: str) -> Record | Skipped:  # noqa: A002
    """A row as a record, or why it is none. Values that JSON has not are written as texts."""
    value, name = row[text], row.get(id)
    if not isinstance(value, str):
        return Skipped(str(name), "has no text", "failed")
    key = text_id(value) if name is None else str(name)
    rest = {column: kept for column, kept in row.items() if column not in {text, id}}
    found = record(key, value, json.loads(json.dumps(rest, default=str)))
    return Skipped(key, found, "failed") if isinstance(found, str) else found


def _told(error: EmbedwellError) -> str:
    kind = type(error).__name__
    return json.dumps({"type": kind, "problem": error.problem, "remedy": error.remedy})


def _added_up(told: Iterator[Mapping[str, Any]]) -> ParquetReport:
    n_stored, failed = 0, []
    for row in told:
        if row["error"]:
            raise raised(json.loads(row["error"]))
        n_stored += row["n_stored"]
        if row["reason"]:
            failed.append(Skipped(row["key"], row["reason"], "failed"))
    return ParquetReport(n_stored, failed)
