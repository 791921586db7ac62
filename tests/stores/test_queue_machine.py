"""Workers that claim, die, finish late and queue anew: every document is stored exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from store_samples import SETTINGS, item, signs
from store_targets import PostgresTarget, SqliteTarget

from embedwell.core.errors import QueueError
from embedwell.stores.leases import LONGEST_S
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.protocol import Filter, Store
from embedwell.stores.queue import Item, Outcome, Task, Which, Worker
from embedwell.stores.registry import create_store, open_store

FAR = 1_000.0
NAMES = st.sampled_from(["one", "two", "three"])
KEYS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True)
LEASES = st.sampled_from([FAR, FAR, FAR, 0.0, LONGEST_S + FAR])
STATUSES = st.sampled_from(["done", "done", "done", "failed", "skipped", "pending", "dead"])
WHICH = st.sampled_from(
    [
        Which(),
        Which(source="notes"),
        Which(source="posts", statuses=("done",)),
        Which(run=1),
        Which(statuses=("failed", "dead")),
        Which(source="nowhere"),
    ]
)


Pair = tuple[Task, Task]
"""The same row in both stores."""


class Queues(RuleBasedStateMachine):
    """The same done to a store, through either of two connections, and to the plain one."""

    @initialize()
    def begin(self) -> None:
        self.target = self.new_target()
        self.store = create_store(self.target, SETTINGS)
        self.other = open_store(self.target)
        self.plain = MemoryStore(SETTINGS)
        self.held: dict[str, list[Pair]] = {}
        self.finished = Counter[int]()

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self.work_off()
        assert self.store.check() == []
        self.store.close()
        self.other.close()
        self.remove()

    def both(self, by_other: bool, act: Callable[[Store], Any]) -> Any:
        found = _outcome(lambda: act(self.other if by_other else self.store))
        assert found == _outcome(lambda: act(self.plain))
        return found

    def claimed(self, by_other: bool, name: str, n: int, lease_s: float) -> list[Pair]:
        """Tasks of both stores, alike but for their ids: databases leave gaps."""
        store = self.other if by_other else self.store
        found, expected = (one.queue.claim(name, n, lease_s) for one in (store, self.plain))
        assert [replace(task, id=0) for task in found] == [replace(task, id=0) for task in expected]
        return list(zip(found, expected, strict=True))

    def work_off(self) -> None:
        """Whatever happened: one worker that lives stores all that is left."""
        for name in ("one", "two", "three"):
            self.both(False, lambda store, name=name: store.queue.release(name, lost=True))
        for act in ("end_check", "resume_run"):
            given = {"canary_at": 0, "reason": "", "report": {}} if act == "end_check" else {}
            self.both(False, lambda store, act=act, given=given: getattr(store.queue, act)(**given))
        while pairs := self.claimed(False, "four", 3, FAR):
            self.put(pairs, ["done"] * len(pairs), by_other=True)
        self.same_contents()
        left = {row.status for row in self.store.queue.tally()} & {"leased", "pending"}
        assert left <= {"pending"}  # those that wait to be tried again
        is_open = any(run.status != "done" for run in self.runs)
        assert self.both(False, lambda store: store.queue.close_run()) == (is_open and not left)

    def put(self, pairs: list[Pair], statuses: list[Any], *, by_other: bool) -> None:
        store = self.other if by_other else self.store
        tasks = [pair[0] for pair in pairs[: len(statuses)]]
        lost = _put(store, tasks, statuses)
        expected = _put(self.plain, [pair[1] for pair in pairs[: len(statuses)]], statuses)
        assert lost == expected
        for task, status in zip(tasks, statuses, strict=False):
            if task.item.key not in lost and status != "pending":
                self.finished[task.run] += 1

    @property
    def runs(self):
        return self.store.queue.runs()

    @rule(
        keys=KEYS,
        name=st.sampled_from(["notes", "posts"]),
        n=st.integers(0, 2),
        other=st.booleans(),
    )
    def enqueue(self, keys, name, n, other) -> None:
        if not any(source.name == name for source in self.plain.queue.sources()):
            self.both(other, lambda store: store.queue.add_source("folder", name, "", "", {}))
        source = next(one for one in self.plain.queue.sources() if one.name == name)
        given = [Item(source.prefix + key, "markdown", n, n) for key in keys]
        run = self.both(other, lambda store: store.queue.open_run(5 * n).number)
        act = lambda store: store.queue.enqueue(source.number, run, given, priority=n)  # noqa: E731
        assert self.both(not other, act) == len(keys)

    @rule(keys=KEYS, run=st.integers(1, 3))
    def enqueue_into_any_run(self, keys, run) -> None:
        if (sources := self.plain.queue.sources()) and self.plain.queue.run(run):
            given = [Item(sources[0].prefix + key, "text", 1, 1) for key in keys]
            self.both(False, lambda store: store.queue.enqueue(sources[0].number, run, given))

    @rule(name=NAMES, n=st.integers(1, 4), lease_s=LEASES, other=st.booleans())
    def claim(self, name, n, lease_s, other) -> None:
        self.held[name] = self.claimed(other, name, n, lease_s)

    @rule(name=NAMES, statuses=st.lists(STATUSES, min_size=1, max_size=4), other=st.booleans())
    def finish(self, name, statuses, other) -> None:
        self.put(self.held.get(name, []), statuses, by_other=other)

    @rule(name=NAMES, lost=st.booleans(), other=st.booleans())
    def release(self, name, lost, other) -> None:
        self.both(other, lambda store: store.queue.release(name, lost=lost))

    @rule(name=NAMES, lease_s=LEASES)
    def renew(self, name, lease_s) -> None:
        self.both(False, lambda store: store.queue.renew(name, lease_s))

    @rule(name=NAMES)
    def report(self, name) -> None:
        self.both(False, lambda store: store.queue.report(Worker(name, "host", 5)))

    @rule(keys=KEYS, other=st.booleans())
    def delete(self, keys, other) -> None:
        self.both(other, lambda store: store.delete(keys))

    @rule(name=NAMES, lease_s=LEASES, other=st.booleans())
    def begin_check(self, name, lease_s, other) -> None:
        self.both(other, lambda store: store.queue.begin_check(name, lease_s))

    @rule(canary_at=st.sampled_from([0, 5, 10]), reason=st.sampled_from(["", "", "bad"]))
    def end_check(self, canary_at, reason) -> None:
        said = {"canary_at": canary_at, "reason": reason, "report": {"n": 1}}
        self.both(True, lambda store: store.queue.end_check(**said))

    @rule(act=st.sampled_from(["resume_run", "close_run", "resume_run"]), other=st.booleans())
    def go_on_or_end(self, act, other) -> None:
        self.both(other, lambda store: getattr(store.queue, act)())

    @rule(which=WHICH, other=st.booleans())
    def retry(self, which, other) -> None:
        self.both(other, lambda store: store.queue.retry(which))

    @rule(which=WHICH, other=st.booleans(), dry_run=st.booleans())
    def purge(self, which, other, dry_run) -> None:
        self.both(other, lambda store: store.queue.purge(which, dry_run=dry_run).rows)

    @invariant()
    def same_contents(self) -> None:
        if not hasattr(self, "store"):
            return
        for ask in (_entries, _runs, _tally, _workers, _sources):
            assert ask(self.store) == ask(self.plain)
        counts, expected = self.store.counts(), self.plain.counts()
        assert (counts.documents, counts.chunks) == (expected.documents, expected.chunks)
        stored = [found.key for found in _found(self.store)]
        assert sorted(stored) == sorted(set(stored)) == sorted(self.store.stats())
        assert all(run.n_finished == self.finished[run.number] for run in self.runs)


def _outcome(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except QueueError as error:
        return str(error)


def _put(store: Store, tasks: list[Task], statuses: list[Any]) -> set[str]:
    """Store a document for each that is done; gives keys of those whose lease was lost."""
    outcomes = [
        Outcome(task, status, "why", retry_s=FAR * (task.attempt % 3), n_chunks=1, n_tokens=2)
        for task, status in zip(tasks, statuses, strict=False)
    ]
    documents = [
        item(one.task.item.key, [f"text {one.task.attempt}"], source=one.task.source)
        for one in outcomes
        if one.status == "done"
    ]
    lost = store.put(documents, outcomes=outcomes)
    return {task.item.key for task in tasks if task.id in lost}


def _found(store: Store):
    return store.chunks(store.nearest(signs(0), 99, Filter()).ids.tolist())


def _entries(store: Store):
    waiting = [dict(store.queue.waiting(one.number)) for one in store.queue.sources()]
    return store.queue.entries(Which(), 99), waiting


def _runs(store: Store):
    return [
        replace(run, started_at=0.0, ended_at=run.ended_at and 1.0) for run in store.queue.runs()
    ]


def _tally(store: Store):
    return store.queue.tally(), store.queue.tally(1)


def _workers(store: Store):
    return [replace(one, started_at=0.0, seen_at=0.0) for one in store.queue.workers()]


def _sources(store: Store):
    return store.queue.sources()


class SqliteQueues(SqliteTarget, Queues):
    pass


class PostgresQueues(PostgresTarget, Queues):
    pass


def examples(n: int) -> settings:
    return settings(
        max_examples=n,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


SqliteQueues.TestCase.settings = examples(12)
PostgresQueues.TestCase.settings = examples(8)
TestSqliteQueues = SqliteQueues.TestCase


class TestPostgresQueues(PostgresQueues.TestCase):
    @pytest.fixture(autouse=True)
    def _server(self, postgres_server):
        PostgresTarget.server = postgres_server
