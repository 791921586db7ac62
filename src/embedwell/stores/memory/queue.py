"""The queue of the store in memory: plain loops, to compare the others with."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

from embedwell.stores import leases
from embedwell.stores.memory.rows import Documents, Purge, Row, run_with, tally_of, worker_with
from embedwell.stores.queue import (
    LOST_ALONE,
    Entry,
    Item,
    Metrics,
    Outcome,
    Purged,
    Run,
    Source,
    Status,
    Tally,
    Task,
    Which,
    Worker,
)


class MemoryQueue:
    """`Queue` by loops over a dictionary; see there for what each method does.

    Args:
        documents: Those of the store.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._sources: dict[int, Source] = {}
        self._runs: dict[int, Run] = {}
        self._rows: dict[str, Row] = {}
        self._workers: dict[str, Worker] = {}
        self._metrics: list[Metrics] = []
        self._check_end = 0.0
        self._last_id = self._last_source = self._last_run = 0

    def now(self) -> float:
        """Seconds since 1970, by this machine's clock."""
        return time.time()

    def sources(self) -> list[Source]:
        """All of them, by number."""
        return list(self._sources.values())

    def add_source(
        self, kind: str, name: str, place: str, host: str, options: Mapping[str, Any]
    ) -> Source:
        """Add a source; its prefix is chosen here."""
        if any(other.name == name for other in self.sources()):
            raise leases.name_taken(name)
        self._last_source += 1
        prefix = f"{name}:" if self._sources else ""
        source = Source(self._last_source, kind, name, prefix, place, host, dict(options))
        self._sources[source.number] = source
        return source

    def set_source(self, source: Source) -> None:
        """Change the place, host and options of a source."""
        self._sources[source.number] = replace(
            self._sources[source.number],
            place=source.place,
            host=source.host,
            options=dict(source.options),
        )

    def waiting(self, source: int) -> Mapping[str, tuple[int, int]]:
        """Size and time by key of the rows of a source that are pending, leased or dead."""
        return {
            row.item.key: (row.item.size_bytes, row.item.mtime_ns)
            for row in self._rows.values()
            if row.source == source and row.status in {"pending", "leased", "dead"}
        }

    def unstored(self, source: int) -> list[str]:
        """Keys of a source's rows that are through although no document is stored of them."""
        return [
            key
            for key, row in self._rows.items()
            if row.source == source and row.status in {"failed", "skipped"}
            if key not in self._documents.held
        ]

    def open_run(self, canary_at: int, *, rehearsal: bool = False) -> Run:
        """The run that is open, as it is, or a new one."""
        if found := self._open():
            return found
        self._last_run += 1
        self._check_end = 0.0
        run = Run(self._last_run, "running", time.time(), None, canary_at, rehearsal)
        self._runs[run.number] = run
        return run

    def enqueue(self, source: int, run: int, items: Iterable[Item], *, priority: int = 0) -> int:
        """Queue items, or queue them anew: whoever has leased one of them loses it."""
        n = 0
        for item in items:
            n += 1
            held = self._rows.get(item.key)
            if held is None:
                self._last_id += 1
                held = Row(self._last_id, source, run, item, priority)
            self._rows[item.key] = replace(
                held,
                source=source,
                run=run,
                item=item,
                priority=priority,
                status="pending",
                failures=0,
                losses=0,
                error="",
                worker="",
                not_before=0.0,
            )
        if n and run in self._runs and self._open() is None:
            self._runs[run] = replace(self._runs[run], status="running", ended_at=None)
        return n

    def run(self, number: int | None = None) -> Run | None:
        """One run; the newest if left out; None where there is none."""
        return self._runs.get(max(self._runs, default=0) if number is None else number)

    def runs(self) -> list[Run]:
        """All of them, by number."""
        return list(self._runs.values())

    def claim(self, worker: str, n: int, lease_s: float) -> list[Task]:
        """Lease rows of the open run for a time."""
        now = time.time()
        self._lose(now)
        n = min(n, leases.n_claimable(self._open(), self._n("leased")))
        if n < 1:
            return []
        ready = [row for row in self._ordered() if row.status == "pending"]
        ready = [row for row in ready if not now < row.not_before <= now + leases.LONGEST_S]
        some = [row for row in ready if row.losses < LOST_ALONE][:n]
        for row in (taken := some or ready[:1]):
            row.status, row.worker, row.lease_end = "leased", worker, now + lease_s
            row.started_at = now
            row.attempts += 1
        return [self._task(row) for row in taken]

    def renew(self, worker: str, lease_s: float) -> int:
        """Let all leases of a worker last so long from now; gives how many it has."""
        held = self._leased_by(worker)
        for row in held:
            row.lease_end = time.time() + lease_s
        return len(held)

    def release(self, worker: str, *, lost: bool = False) -> int:
        """Give all leases of a worker back; gives how many it had."""
        held = self._leased_by(worker)
        for row in held:
            if lost:
                row.lose()
            else:
                row.status, row.worker = "pending", ""
        return len(held)

    def close_run(self) -> bool:
        """End the open run if none of its rows is pending or leased; gives whether it ended."""
        run = self._open()
        if not leases.may_close(run, self._n("pending", "leased")):
            return False
        self._set(status="done", ended_at=time.time())
        return True

    def begin_check(self, worker: str, lease_s: float) -> bool:
        """Take it upon a worker to check the open run, where a check is due and nobody does."""
        del worker  # nobody asks who checks
        now = time.time()
        self._lose(now)
        run, is_empty = self._open(), not self._n("pending")
        if run is None or self._n("leased"):
            return False
        if not leases.is_check_due(run, self._check_end, now, is_empty=is_empty):
            return False
        self._set(status="checking")
        self._check_end = now + lease_s
        return True

    def end_check(self, *, canary_at: int, reason: str, report: Mapping[str, Any]) -> None:
        """Write what a check found; without a reason the run goes on, else it is stopped."""
        status = "stopped" if reason else "running"
        found = {"canary_at": canary_at, "reason": reason, "report": dict(report)}
        self._set(status=status, rehearsal=False, **found)

    def stop_run(self, reason: str) -> None:
        """Stop the open run: nothing more is claimed."""
        self._set(status="stopped", reason=reason)

    def resume_run(self) -> None:
        """Let a stopped run go on."""
        if (run := self._open()) and run.status == "stopped":
            self._set(status="running", reason="")

    def report(self, worker: Worker) -> None:
        """Say that a worker lives, and how it is; its counts are kept by `finish`."""
        now = time.time()
        known = self._workers.get(worker.name, replace(worker, started_at=now))
        self._workers[worker.name] = replace(
            known,
            seen_at=now,
            state=worker.state,
            rss_bytes=worker.rss_bytes,
            proved=worker.proved,
            error=worker.error,
        )

    def workers(self) -> list[Worker]:
        """All that were not forgotten, by name."""
        return [self._workers[name] for name in sorted(self._workers)]

    def forget_worker(self, name: str) -> None:
        """Remove a worker that has ended."""
        self._workers.pop(name, None)

    def add_metrics(self, metrics: Metrics) -> None:
        """Keep how far a worker is."""
        self._metrics.append(metrics)

    def metrics(self, run: int) -> list[Metrics]:
        """What was kept of a run, oldest first."""
        return sorted((one for one in self._metrics if one.run == run), key=lambda one: one.at)

    def tally(self, run: int | None = None, *, since: float = math.inf) -> list[Tally]:
        """How many rows of each status and format there are, of one run or of all."""
        rows = [row for row in self._rows.values() if run is None or row.run == run]
        kinds = sorted({(row.status, row.item.format) for row in rows})
        return [
            tally_of([row for row in rows if (row.status, row.item.format) == kind], since)
            for kind in kinds
        ]

    def entries(self, which: Which, n: int) -> list[Entry]:
        """The first n rows that are meant, by number."""
        return [
            Entry(
                row.item,
                self._sources[row.source].name,
                row.status,
                row.failures,
                row.losses,
                row.error,
                row.worker,
                row.run,
            )
            for row in self._meant(which)[:n]
        ]

    def retry(self, which: Which) -> int:
        """Queue rows that failed or are dead anew, in the open run or in a new one."""
        rows = [row for row in self._meant(which) if row.status in {"failed", "dead"}]
        if not rows:
            return 0
        newest = self.run()
        run = self.open_run(newest.canary_at if newest else 0)
        for row in rows:
            item = replace(row.item, anew=True)
            self.enqueue(row.source, run.number, [item], priority=row.priority)
        return len(rows)

    def purge(self, which: Which, *, dry_run: bool = False) -> Purged:
        """Remove rows of the queue with their documents, or only say what that would take away."""
        leases.check_which(which, self.sources(), self.runs())
        purge = Purge(which, self._meant(which), self._documents.held, self._sources)
        rows = {key: row for key, row in self._rows.items() if row not in purge.rows}
        sources = purge.sources_left(self._sources, rows)
        runs = purge.runs_left(self._runs, rows)
        metrics = [one for one in self._metrics if one.run in runs]
        workers = {} if which == Which() else self._workers
        counts = {
            "documents": len(purge.keys),
            "chunks": sum(map(self._documents.n_chunks, purge.keys)),
            "vectors": sum(map(self._documents.n_vectors, purge.keys)),
            "files_queue": len(purge.rows),
            "sources": len(self._sources) - len(sources),
            "ingestion_runs": len(self._runs) - len(runs),
            "ingestion_metrics": len(self._metrics) - len(metrics),
            "workers": len(self._workers) - len(workers),
        }
        if not dry_run:
            self._documents.remove(purge.keys)
            self._rows, self._sources, self._runs = rows, sources, runs
            self._metrics, self._workers = metrics, workers
        return Purged(counts, 0)

    def lost(self, outcomes: Iterable[Outcome]) -> frozenset[int]:
        """Ids of the tasks whose lease was lost."""
        return frozenset(one.task.id for one in outcomes if not self._is_held(one.task))

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """Write what became of tasks whose lease is held."""
        now = time.time()
        for one in outcomes:
            row = self._rows[one.task.item.key]
            row.status, row.error = one.status, one.error
            row.not_before = now + one.retry_s
            row.failures += one.status in {"pending", "dead", "failed"}
            row.n_chunks, row.seconds = one.n_chunks, sum(astuple(one.times))
            row.finished_at = now
            if one.status in {"done", "skipped"}:
                row.item = replace(row.item, payload="")
        for number, counts in leases.counted(outcomes, by=lambda one: one.task.run).items():
            if run := self._runs.get(number):
                self._runs[number] = run_with(run, counts)
        for name, counts in leases.counted(outcomes, by=lambda one: one.task.worker).items():
            if worker := self._workers.get(name):
                self._workers[name] = worker_with(worker, counts)

    def forget(self, keys: Iterable[str]) -> None:
        """Remove rows."""
        for key in keys:
            self._rows.pop(key, None)

    def _open(self) -> Run | None:
        return next((run for run in self.runs() if run.status != "done"), None)

    def _set(self, **fields: Any) -> None:  # noqa: ANN401 - fields of a run
        if run := self._open():
            self._runs[run.number] = replace(run, **fields)

    def _ordered(self) -> list[Row]:
        return sorted(self._rows.values(), key=lambda row: (-row.priority, row.id))

    def _n(self, *statuses: Status) -> int:
        return sum(row.status in statuses for row in self._rows.values())

    def _lose(self, now: float) -> None:
        for row in self._rows.values():
            if row.status == "leased" and not now < row.lease_end <= now + leases.LONGEST_S:
                row.lose()

    def _leased_by(self, worker: str) -> list[Row]:
        rows = self._rows.values()
        return [row for row in rows if row.status == "leased" and row.worker == worker]

    def _task(self, row: Row) -> Task:
        document = self._documents.held.get(row.item.key)
        sha256 = document.sha256 if document else ""
        about = (row.id, row.source, row.run, row.item)
        return Task(*about, row.attempts, row.failures, sha256, row.worker)

    def _is_held(self, task: Task) -> bool:
        row = self._rows.get(task.item.key)
        return row is not None and (row.id, row.status, row.worker, row.attempts) == (
            task.id,
            "leased",
            task.worker,
            task.attempt,
        )

    def _meant(self, which: Which) -> list[Row]:
        rows = sorted(self._rows.values(), key=lambda row: row.id)
        return [
            row
            for row in rows
            if which.source in {"", self._sources[row.source].name}
            and which.run in {0, row.run}
            and (not which.statuses or row.status in which.statuses)
        ]
