"""The queue of a SQLite file."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from embedwell.stores import leases
from embedwell.stores.queue import (
    LOST_ALONE,
    LOST_DEAD,
    Entry,
    Item,
    Lately,
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
from embedwell.stores.sqlite import queue_statements as statements
from embedwell.stores.sqlite.database import Database, Row
from embedwell.stores.sqlite.purge import purge

_LOST = (LOST_DEAD, LOST_DEAD, leases.LOST)


class SqliteQueue:
    """`Queue` over one file.

    Args:
        database: The file.
        collection: Whose queue.
    """

    def __init__(self, database: Database, collection: int) -> None:
        self._database = database
        self._collection = collection

    def now(self) -> float:
        """Seconds since 1970, by this machine's clock."""
        return time.time()

    def sources(self) -> list[Source]:
        """All of them, by number."""
        return [_source(row) for row in self._database.rows(statements.SOURCES, self._here)]

    def add_source(
        self, kind: str, name: str, place: str, host: str, options: Mapping[str, Any]
    ) -> Source:
        """Add a source; its prefix is chosen here."""
        with self._database.transaction():
            others = self.sources()
            if any(other.name == name for other in others):
                raise leases.name_taken(name)
            prefix = f"{name}:" if others else ""
            row = (self._collection, kind, name, prefix, place, host, json.dumps(dict(options)))
            number = self._database.insert(statements.ADD_SOURCE, row)
        return Source(number, kind, name, prefix, place, host, dict(options))

    def set_source(self, source: Source) -> None:
        """Change the place, host and options of a source."""
        row = (source.place, source.host, json.dumps(dict(source.options)), source.number)
        with self._database.transaction():
            self._database.rows(statements.SET_SOURCE, row)

    def waiting(self, source: int) -> Mapping[str, tuple[int, int]]:
        """Size and time by key of the rows of a source that are pending, leased or dead."""
        rows = self._database.each(statements.WAITING, (self._collection, source))
        return {key: (size, mtime) for key, size, mtime in rows}

    def unstored(self, source: int) -> list[str]:
        """Keys of a source's rows that are through although no document is stored of them."""
        rows = self._database.rows(statements.UNSTORED, (self._collection, source))
        return [key for (key,) in rows]

    def open_run(self, canary_at: int, *, rehearsal: bool = False) -> Run:
        """The run that is open, as it is, or a new one."""
        with self._database.transaction():
            return self._begin_run(canary_at, rehearsal=rehearsal)

    def enqueue(self, source: int, run: int, items: Iterable[Item], *, priority: int = 0) -> int:
        """Queue items, or queue them anew."""
        now = time.time()
        rows = (
            (
                self._collection,
                source,
                run,
                item.key,
                item.format,
                priority,
                item.size_bytes,
                item.mtime_ns,
                item.payload,
                item.anew,
                now,
            )
            for item in items
        )
        with self._database.transaction():
            if n := self._database.change(statements.ENQUEUE, rows):
                self._database.rows(statements.REOPEN_RUN, (run,))
            return n

    def run(self, number: int | None = None) -> Run | None:
        """One run; the newest if left out."""
        if number is None:
            rows = self._database.rows(statements.NEWEST_RUN, self._here)
        else:
            rows = self._database.rows(statements.RUN, (self._collection, number))
        return _run(rows[0]) if rows else None

    def runs(self) -> list[Run]:
        """All of them, by number."""
        return [_run(row) for row in self._database.rows(statements.RUNS, self._here)]

    def claim(self, worker: str, n: int, lease_s: float) -> list[Task]:
        """Lease rows of the open run for a time; see `Queue`."""
        now = time.time()
        with self._database.transaction():
            self._lose(now)
            run = self._open()
            n_leased = self._database.value(statements.N_LEASED, self._here)
            n = min(n, leases.n_claimable(run, n_leased))
            if n < 1:
                return []
            rows = self._next(f"< {LOST_ALONE}", now, n) or self._next(f">= {LOST_ALONE}", now, 1)
            self._database.change(
                statements.LEASE, [(worker, now + lease_s, now, row[0]) for row in rows]
            )
        return [_task(row, worker) for row in rows]

    def renew(self, worker: str, lease_s: float) -> int:
        """Let all leases of a worker last so long from now."""
        with self._database.transaction():
            row = (time.time() + lease_s, self._collection, worker)
            return self._database.change(statements.RENEW, [row])

    def release(self, worker: str, *, lost: bool = False) -> int:
        """Give all leases of a worker back."""
        with self._database.transaction():
            if lost:
                row = (*_LOST, self._collection, worker)
                return self._database.change(statements.LOSE_OF_WORKER, [row])
            return self._database.change(statements.RELEASE, [(self._collection, worker)])

    def close_run(self) -> bool:
        """End the open run if none of its rows is pending or leased."""
        with self._database.transaction():
            run = self._open()
            if run is None or not leases.may_close(run, self._n_left()):
                return False
            self._database.rows(statements.END_RUN, (time.time(), run.number))
            return True

    def begin_check(self, worker: str, lease_s: float) -> bool:
        """Take it upon a worker to check the open run; see `Queue`."""
        now = time.time()
        with self._database.transaction():
            self._lose(now)
            run = self._open()
            if run is None or self._database.value(statements.N_LEASED, self._here):
                return False
            check_end = self._database.value(statements.CHECK_END, (run.number,))
            is_empty = not self._database.value(statements.N_LEFT, self._here)
            if not leases.is_check_due(run, check_end, now, is_empty=is_empty):
                return False
            self._database.rows(statements.BEGIN_CHECK, (worker, now + lease_s, run.number))
            return True

    def end_check(self, *, canary_at: int, reason: str, report: Mapping[str, Any]) -> None:
        """Write what a check found; without a reason the run goes on, else it is stopped."""
        status = "stopped" if reason else "running"
        with self._database.transaction():
            if run := self._open():
                row = (status, canary_at, reason, json.dumps(dict(report)), run.number)
                self._database.rows(statements.END_CHECK, row)

    def stop_run(self, reason: str) -> None:
        """Stop the open run: nothing more is claimed."""
        with self._database.transaction():
            if run := self._open():
                self._database.rows(statements.SET_RUN, ("stopped", reason, run.number))

    def resume_run(self) -> None:
        """Let a stopped run go on."""
        with self._database.transaction():
            if (run := self._open()) and run.status == "stopped":
                self._database.rows(statements.SET_RUN, ("running", "", run.number))

    def report(self, worker: Worker) -> None:
        """Say that a worker lives, and how it is."""
        now = time.time()
        who = (worker.name, self._collection, worker.host, worker.pid, now, now)
        row = (*who, worker.state, worker.rss_bytes, worker.proved, worker.error)
        with self._database.transaction():
            self._database.rows(statements.REPORT, row)

    def workers(self) -> list[Worker]:
        """All that were not forgotten, by name."""
        return [Worker(*row) for row in self._database.rows(statements.WORKERS, self._here)]

    def forget_worker(self, name: str) -> None:
        """Remove a worker that has ended."""
        with self._database.transaction():
            self._database.rows(statements.FORGET_WORKER, (name,))

    def add_metrics(self, metrics: Metrics) -> None:
        """Keep how far a worker is."""
        row = (self._collection, *astuple(metrics))
        with self._database.transaction():
            self._database.rows(statements.ADD_METRICS, row)

    def metrics(self, run: int) -> list[Metrics]:
        """What was kept of a run, oldest first."""
        rows = self._database.rows(statements.METRICS, (self._collection, run))
        return [Metrics(*row) for row in rows]

    def tally(self, run: int | None = None, *, since: float = math.inf) -> list[Tally]:
        """How many rows of each status and format there are, of one run or of all."""
        values = {"collection": self._collection, "run": run, "since": since}
        rows = self._database.rows(statements.TALLY, values)
        return [Tally(*(*row[:6], Lately(*row[6:]))) for row in rows]

    def entries(self, which: Which, n: int) -> list[Entry]:
        """The first n rows that are meant, by number."""
        rows = self._database.rows(statements.ENTRIES, {**self._meant(which), "n": n})
        return [Entry(Item(*(*row[:5], bool(row[5]))), *row[6:]) for row in rows]

    def retry(self, which: Which) -> int:
        """Queue rows that failed or are dead anew, in the open run or in a new one."""
        with self._database.transaction():
            newest = self.run()
            n: int = self._database.rows(statements.N_TO_RETRY, self._meant(which))[0][0]
            if newest is not None and n:
                into = self._begin_run(newest.canary_at)
                values = {**self._meant(which), "into": into.number}
                self._database.rows(statements.RETRY, values)
            return n

    def purge(self, which: Which, *, dry_run: bool = False) -> Purged:
        """Remove rows with their documents, or only say what that would take away."""
        leases.check_which(which, self.sources(), self.runs())
        return purge(self._database, which, self._meant(which), dry_run=dry_run)

    def finish(self, outcomes: Sequence[Outcome]) -> frozenset[int]:
        """Write what became of tasks, inside a transaction of the store.

        Returns:
            Ids of the tasks whose lease was lost; nothing of them was written.
        """
        now = time.time()
        ids = json.dumps([outcome.task.id for outcome in outcomes])
        leased = set(self._database.rows(statements.LEASED_AMONG, (ids,)))
        held = [
            one for one in outcomes if (one.task.id, one.task.worker, one.task.attempt) in leased
        ]
        self._database.change(statements.FINISH, [_finish_row(one, now) for one in held])
        for run, counts in leases.counted(held, by=lambda one: one.task.run).items():
            self._database.rows(statements.COUNT_IN_RUN, (*counts.of_run(), run))
        for worker, counts in leases.counted(held, by=lambda one: one.task.worker).items():
            self._database.rows(statements.COUNT_OF_WORKER, (*counts.of_worker(), worker))
        kept = {one.task.id for one in held}
        return frozenset(one.task.id for one in outcomes if one.task.id not in kept)

    def forget(self, keys: Iterable[str]) -> None:
        """Remove rows, inside a transaction of the store."""
        self._database.change(statements.FORGET, [(self._collection, key) for key in keys])

    @property
    def _here(self) -> tuple[int]:
        return (self._collection,)

    def _open(self) -> Run | None:
        rows = self._database.rows(statements.OPEN_RUN, self._here)
        return _run(rows[0]) if rows else None

    def _begin_run(self, canary_at: int, *, rehearsal: bool = False) -> Run:
        if found := self._open():
            return found
        now = time.time()
        row = (self._collection, now, canary_at, rehearsal)
        number = self._database.insert(statements.ADD_RUN, row)
        return Run(number, "running", now, None, canary_at, rehearsal)

    def _lose(self, now: float) -> None:
        """Leases whose time is up are lost, and those that lie too far ahead."""
        row = (*_LOST, self._collection, now, now + leases.LONGEST_S)
        self._database.rows(statements.LOSE, row)

    def _next(self, losses: str, now: float, n: int) -> list[Row]:
        statement = statements.NEXT.format(losses=losses)
        row = (self._collection, now, now + leases.LONGEST_S, n)
        return self._database.rows(statement, row)

    def _n_left(self) -> int:
        left = self._database.value(statements.N_LEFT, self._here)
        return int(left + self._database.value(statements.N_LEASED, self._here))

    def _meant(self, which: Which) -> dict[str, Any]:
        return {
            "collection": self._collection,
            "source": which.source,
            "run": which.run,
            "statuses": json.dumps(list(which.statuses)),
        }


def _source(row: Row) -> Source:
    return Source(*(*row[:6], json.loads(row[6])))


def _run(row: Row) -> Run:
    return Run(*(*row[:5], bool(row[5]), *row[6:-1], json.loads(row[-1])))


def _task(row: Row, worker: str) -> Task:
    number, source, run, *about, anew, attempt, failures, sha256 = row
    item = Item(*(*about, bool(anew)))
    return Task(number, source, run, item, attempt, failures, sha256, worker)


def _finish_row(outcome: Outcome, now: float) -> Row:
    times = outcome.times
    return (
        outcome.status,
        outcome.error,
        now + outcome.retry_s,
        int(outcome.status in {"pending", "dead", "failed"}),
        now,
        outcome.n_chunks,
        outcome.n_tokens,
        *(times.read_s, times.extract_s, times.chunk_s, times.embed_s, times.write_s),
        outcome.status in {"done", "skipped"},
        outcome.task.id,
    )
