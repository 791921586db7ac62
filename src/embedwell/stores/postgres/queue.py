"""The queue of a PostgreSQL database."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from embedwell.stores import leases
from embedwell.stores.postgres import purge
from embedwell.stores.postgres import queue_statements as statements
from embedwell.stores.postgres.database import Database, lock_keys
from embedwell.stores.postgres.queue_rows import (
    entry_of,
    item_columns,
    metrics_of,
    outcome_columns,
    run_of,
    source_of,
    tally_of,
    task_of,
    worker_of,
)
from embedwell.stores.postgres.statements import LOCK_SPACES
from embedwell.stores.postgres.texts import from_stored, to_stored
from embedwell.stores.queue import (
    LOST_ALONE,
    LOST_DEAD,
    Entry,
    Item,
    Metrics,
    Outcome,
    Purged,
    Run,
    Source,
    Tally,
    Task,
    Which,
    Worker,
)

_LOST = {"most": LOST_DEAD, "error": leases.LOST}
_AT_ONCE = 5_000  # rows in one statement
_ANALYZED = 10_000  # queued rows after which the server counts anew: its plans depend on it


class PostgresQueue:
    """`Queue` of one collection: see there for what each method does.

    Args:
        database: Where.
        collection: Whose queue.
    """

    def __init__(self, database: Database, collection: int) -> None:
        self._database = database
        self._collection = collection

    def sources(self) -> list[Source]:
        """All of them, by number."""
        return [source_of(row) for row in self._database.rows(statements.SOURCES, self._here)]

    def add_source(
        self, kind: str, name: str, place: str, host: str, options: Mapping[str, Any]
    ) -> Source:
        """Add a source; its prefix is chosen here."""
        with self._database.transaction():
            self._queueing()
            others = self.sources()
            if any(other.name == name for other in others):
                raise leases.name_taken(name)
            prefix = f"{name}:" if others else ""
            texts = map(to_stored, (kind, name, prefix, place, host))
            row = (self._collection, *texts, json.dumps(dict(options)))
            number = self._database.value(statements.ADD_SOURCE, row)
        return Source(number, kind, name, prefix, place, host, dict(options))

    def set_source(self, source: Source) -> None:
        """Change the place, host and options of a source."""
        options = json.dumps(dict(source.options))
        row = (to_stored(source.place), to_stored(source.host), options, source.number)
        with self._database.transaction():
            self._database.change(statements.SET_SOURCE, row)

    def waiting(self, source: int) -> Mapping[str, tuple[int, int]]:
        """Size and time by key of the rows of a source that are pending, leased or dead."""
        rows = self._database.rows(statements.WAITING, (self._collection, source))
        return {from_stored(key): (size, mtime) for key, size, mtime in rows}

    def unstored(self, source: int) -> list[str]:
        """Keys of a source's rows that are through although no document is stored of them."""
        rows = self._database.rows(statements.UNSTORED, (self._collection, source))
        return [from_stored(key) for (key,) in rows]

    def open_run(self, canary_at: int, *, rehearsal: bool = False) -> Run:
        """The run that is open, as it is, or a new one."""
        with self._database.transaction():
            return self._begin_run(canary_at, rehearsal=rehearsal)

    def enqueue(self, source: int, run: int, items: Iterable[Item], *, priority: int = 0) -> int:
        """Queue items, or queue them anew.

        A run that was closed since it was asked for is opened again.
        """
        every = list(items)
        rows = list({item.key: item for item in every}.values())
        keys = [to_stored(item.key) for item in rows]
        values = {
            "collection": self._collection,
            "source": source,
            "run": run,
            "priority": priority,
        }
        with self._database.transaction():
            self._queueing()
            self._database.rows(statements.LOCK_KEYS, (self._collection, keys))
            for at in range(0, len(rows), _AT_ONCE):
                part = slice(at, at + _AT_ONCE)
                self._database.change(statements.ENQUEUE, {**values, **item_columns(rows[part])})
            if self._database.value(statements.LOCK_RUN, (run,)) == "done":
                self._database.change(statements.REOPEN_RUN, (run,))
        if len(rows) >= _ANALYZED:
            self._database.change(statements.ANALYZE)
        return len(every)

    def run(self, number: int | None = None) -> Run | None:
        """One run; the newest if left out."""
        if number is None:
            return self._one_run(statements.NEWEST_RUN, *self._here)
        return self._one_run(statements.RUN, self._collection, number)

    def runs(self) -> list[Run]:
        """All of them, by number."""
        return [run_of(row) for row in self._database.rows(statements.RUNS, self._here)]

    def claim(self, worker: str, n: int, lease_s: float) -> list[Task]:
        """Lease rows of the open run for a time; see `Queue`.

        The run's row is locked, so that several who claim never have more than is left until its
        next check.
        """
        with self._database.transaction():
            run = self._one_run(statements.LOCK_OPEN_RUN, *self._here)
            self._lose()
            n_leased = self._database.value(statements.N_LEASED, self._here)
            n = min(n, leases.n_claimable(run, n_leased))
            if n < 1:
                return []
            values = {
                "collection": self._collection,
                "worker": to_stored(worker),
                "lease_s": lease_s,
                "longest": leases.LONGEST_S,
            }
            usual = {**values, "n": n, "least": 0, "most": LOST_ALONE - 1}
            alone = {**values, "n": 1, "least": LOST_ALONE, "most": LOST_DEAD}
            rows = self._database.rows(statements.LEASE, usual) or self._database.rows(
                statements.LEASE, alone
            )
        rows.sort(key=lambda row: (-row[0], row[1]))
        return [task_of(row, worker) for row in rows]

    def renew(self, worker: str, lease_s: float) -> int:
        """Let all leases of a worker last so long from now."""
        return self._of_worker(statements.RENEW, worker, lease_s=lease_s)

    def release(self, worker: str, *, lost: bool = False) -> int:
        """Give all leases of a worker back."""
        if lost:
            return self._of_worker(statements.LOSE_OF_WORKER, worker, **_LOST)
        return self._of_worker(statements.RELEASE, worker)

    def close_run(self) -> bool:
        """End the open run if none of its rows is pending or leased."""
        with self._database.transaction():
            run = self._one_run(statements.LOCK_OPEN_RUN, *self._here)
            if run is None or not leases.may_close(run, self._n_left()):
                return False
            self._database.change(statements.END_RUN, (run.number,))
            return True

    def begin_check(self, worker: str, lease_s: float) -> bool:
        """Take it upon a worker to check the open run; see `Queue`."""
        with self._database.transaction():
            run = self._one_run(statements.LOCK_OPEN_RUN, *self._here)
            self._lose()
            if run is None or self._database.value(statements.N_LEASED, self._here):
                return False
            check_end, now = self._database.rows(statements.CHECK_END, (run.number,))[0]
            is_empty = not self._database.value(statements.N_LEFT, self._here)
            if not leases.is_check_due(run, check_end, now, is_empty=is_empty):
                return False
            self._database.change(statements.BEGIN_CHECK, (to_stored(worker), lease_s, run.number))
            return True

    def end_check(self, *, canary_at: int, reason: str, report: Mapping[str, Any]) -> None:
        """Write what a check found; without a reason the run goes on, else it is stopped."""
        status, as_json = "stopped" if reason else "running", json.dumps(dict(report))
        row = (status, canary_at, to_stored(reason), as_json, self._collection)
        self._change(statements.END_CHECK, row)

    def stop_run(self, reason: str) -> None:
        """Stop the open run: nothing more is claimed."""
        self._change(statements.STOP_RUN, (to_stored(reason), self._collection))

    def resume_run(self) -> None:
        """Let a stopped run go on."""
        self._change(statements.RESUME_RUN, self._here)

    def report(self, worker: Worker) -> None:
        """Say that a worker lives, and how it is."""
        who = (to_stored(worker.name), self._collection, to_stored(worker.host), worker.pid)
        how = (worker.state, worker.rss_bytes, worker.proved, to_stored(worker.error))
        self._change(statements.REPORT, (*who, *how))

    def workers(self) -> list[Worker]:
        """All that were not forgotten, by name."""
        rows = self._database.rows(statements.WORKERS, self._here)
        return [worker_of(row) for row in rows]

    def forget_worker(self, name: str) -> None:
        """Remove a worker that has ended."""
        self._change(statements.FORGET_WORKER, (to_stored(name),))

    def add_metrics(self, metrics: Metrics) -> None:
        """Keep how far a worker is."""
        run, worker, *figures = astuple(metrics)
        row = (self._collection, run, to_stored(worker), *figures)
        self._change(statements.ADD_METRICS, row)

    def metrics(self, run: int) -> list[Metrics]:
        """What was kept of a run, oldest first."""
        rows = self._database.rows(statements.METRICS, (self._collection, run))
        return [metrics_of(row) for row in rows]

    def now(self) -> float:
        """Seconds since 1970, by the server's clock."""
        now: float = self._database.value(statements.NOW)
        return now

    def tally(self, run: int | None = None, *, since: float = math.inf) -> list[Tally]:
        """How many rows of each status and format there are, of one run or of all."""
        values = {"collection": self._collection, "run": run, "since": since}
        rows = self._database.rows(statements.TALLY, values)
        return [tally_of(row) for row in rows]

    def entries(self, which: Which, n: int) -> list[Entry]:
        """The first n rows that are meant, by number."""
        rows = self._database.rows(statements.ENTRIES, {**self._meant(which), "n": n})
        return [entry_of(row) for row in rows]

    def retry(self, which: Which) -> int:
        """Queue rows that failed or are dead anew, in the open run or in a new one."""
        with self._database.transaction():
            self._queueing()
            newest = self._one_run(statements.NEWEST_RUN, *self._here)
            if newest is None:
                return 0
            self._one_run(statements.LOCK_OPEN_RUN, *self._here)
            rows = self._database.rows(statements.LOCK_TO_RETRY, self._meant(which))
            if rows:
                into = self._begin_run(newest.canary_at)
                self._database.change(statements.RETRY, (into.number, [row[0] for row in rows]))
            return len(rows)

    def purge(self, which: Which, *, dry_run: bool = False) -> Purged:
        """Remove rows with their documents, or only say what that would take away."""
        leases.check_which(which, self.sources(), self.runs())
        if dry_run:
            with self._database.snapshot():
                return purge.plan_of(self._database, self._meant(which)).purged
        with self._database.transaction():
            self._queueing()
            self._database.rows(LOCK_SPACES, self._here)  # waits for those who write documents
            plan = purge.plan_of(self._database, self._meant(which))
            purge.carry_out(self._database, plan)
        purge.give_back(self._database, plan)
        return plan.purged

    def n_to_store(self) -> int:
        """How many rows are waiting of which a document will be stored for sure."""
        n: int = self._database.value(statements.N_TO_STORE, self._here)
        return n

    def lock(self, outcomes: Sequence[Outcome]) -> frozenset[int]:
        """Keep the rows of tasks, inside a transaction of the store.

        Returns:
            Ids of the tasks whose lease was lost.
        """
        if not outcomes:
            return frozenset()
        tasks = [outcome.task for outcome in outcomes]
        row = (
            [task.id for task in tasks],
            [to_stored(task.worker) for task in tasks],
            [task.attempt for task in tasks],
        )
        held = {number for (number,) in self._database.rows(statements.LOCK_HELD, row)}
        return frozenset(task.id for task in tasks if task.id not in held)

    def finish(self, outcomes: Sequence[Outcome], lost: frozenset[int]) -> None:
        """Write what became of tasks, at the end of the transaction that `lock` began.

        The run's row is the last, since all workers wait for it.
        """
        held = [outcome for outcome in outcomes if outcome.task.id not in lost]
        if not held:
            return
        self._database.change(statements.FINISH, outcome_columns(held))
        for worker, counts in sorted(leases.counted(held, lambda one: one.task.worker).items()):
            row = (*counts.of_worker(), to_stored(worker))
            self._database.change(statements.COUNT_OF_WORKER, row)
        for run, counts in sorted(leases.counted(held, lambda one: one.task.run).items()):
            if any(counts.of_run()):
                self._database.change(statements.COUNT_IN_RUN, (*counts.of_run(), run))

    def forget(self, keys: Sequence[str]) -> None:
        """Remove rows, inside a transaction of the store."""
        row = (self._collection, [to_stored(key) for key in keys])
        self._database.rows(statements.LOCK_KEYS, row)
        self._database.change(statements.FORGET, row)

    @property
    def _here(self) -> tuple[int]:
        return (self._collection,)

    def _change(self, statement: str, row: Sequence[Any]) -> int:
        with self._database.transaction():
            return self._database.change(statement, row)

    def _of_worker(self, statement: str, worker: str, **more: object) -> int:
        values = {"collection": self._collection, "worker": to_stored(worker), **more}
        with self._database.transaction():
            return self._database.change(statement, values)

    def _queueing(self) -> None:
        """Be the only one who adds or removes rows, until the transaction ends."""
        self._database.rows(
            statements.QUEUEING, lock_keys(f"queue of {self._database.names.schema}")
        )

    def _one_run(self, statement: str, *row: int) -> Run | None:
        rows = self._database.rows(statement, row)
        return run_of(rows[0]) if rows else None

    def _begin_run(self, canary_at: int, *, rehearsal: bool = False) -> Run:
        while True:  # once, but where another process opens or closes one at this moment
            if found := self._one_run(statements.OPEN_RUN, *self._here):
                return found
            self._database.change(statements.ADD_RUN, (self._collection, canary_at, rehearsal))

    def _lose(self) -> None:
        """Leases whose time is up are lost, and those that lie too far ahead."""
        values = {"collection": self._collection, "longest": leases.LONGEST_S, **_LOST}
        self._database.change(statements.LOSE, values)

    def _n_left(self) -> int:
        left: int = self._database.value(statements.N_LEFT, self._here)
        leased: int = self._database.value(statements.N_LEASED, self._here)
        return left + leased

    def _meant(self, which: Which) -> dict[str, Any]:
        return {
            "collection": self._collection,
            "source": to_stored(which.source),
            "run": which.run,
            "statuses": list(which.statuses),
        }
