"""How far an ingestion is, in one value, and how seldom a large queue is counted for it."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from embedwell.app.indexes.progress import ALIVE_S, Observer
from embedwell.core.space import Space
from embedwell.models.catalogue import card
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.protocol import CollectionSettings
from embedwell.stores.queue import Item, Outcome, Times, Worker


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Counting:
    """A queue that counts its tallies, each of which takes a while."""

    def __init__(self, queue, clock, tally_s):
        self._queue, self._clock, self._tally_s = queue, clock, tally_s
        self.n_tallies = self.n_entries = 0

    def __getattr__(self, name):
        return getattr(self._queue, name)

    def tally(self, run=None, *, since):
        self.n_tallies += 1
        self._clock.now += self._tally_s
        return self._queue.tally(run, since=since)

    def entries(self, which, n):
        self.n_entries += 1
        return self._queue.entries(which, n)


@pytest.fixture
def store():
    space: Space = card("all-MiniLM-L6-v2").space
    return MemoryStore(CollectionSettings(space, 60))


def queued(store, n=20):
    source = store.queue.add_source("folder", "docs", "", "here", {})
    run = store.queue.open_run(0)
    items = [Item(f"{number}.md", "markdown", 100, number) for number in range(n)]
    store.queue.enqueue(source.number, run.number, items)
    store.queue.report(Worker("w", "here", 1, state="working"))


def finish(store, n, status="done", error=""):
    tasks = store.queue.claim("w", n, 60.0)
    took = Times(embed_s=0.1)
    outcomes = [Outcome(task, status, error, n_chunks=2, times=took) for task in tasks]
    store.put([], outcomes=outcomes)


def test_where_nothing_was_ever_queued_there_is_nothing_to_tell(store):
    assert Observer().look(store.queue) is None


def test_it_tells_all_of_a_run(store):
    queued(store)
    finish(store, 5)
    finish(store, 1, "failed", "The PDF is broken (3). Get another.")
    found = Observer().look(store.queue)
    assert found.is_open
    assert (found.state, found.n_rows) == ("running", 20)
    told = {count.status: (count.n, count.percent) for count in found.statuses}
    assert (told["done"], told["failed"]) == ((5, 25.0), (1, 5.0))
    assert (found.n_bytes, found.total_bytes, found.n_chunks) == (600, 2000, 12)
    assert found.eta_s > 0
    assert found.lately.documents > 0
    assert found.overall.documents > 0
    assert [one.kind for one in found.failures] == ["The PDF is broken …"]
    assert found.n_alive == 1
    assert json.loads(json.dumps(asdict(found)))["run"] == 1


def test_a_stopped_run_has_no_end_and_a_done_one_has_come_to_it(store):
    queued(store, 2)
    finish(store, 1)
    store.queue.stop_run("the canary said so")
    found = Observer().look(store.queue)
    assert (found.state, found.reason, found.eta_s) == ("stopped", "the canary said so", None)
    store.queue.resume_run()
    finish(store, 1)
    store.queue.close_run()
    found = Observer().look(store.queue)
    assert (found.state, found.eta_s, found.is_open) == ("done", 0.0, False)
    assert found.lately.documents == 0


def test_without_workers_nobody_can_tell_when_it_ends(store, monkeypatch):
    queued(store)
    finish(store, 5)
    now = store.queue.now()
    monkeypatch.setattr(store.queue, "now", lambda: now + ALIVE_S + 1)
    found = Observer().look(store.queue)
    assert found.eta_s is None
    assert [(one.state, one.is_alive) for one in found.workers] == [("lost", False)]


def test_a_queue_that_takes_long_to_count_is_counted_seldom(store):
    queued(store)
    finish(store, 5)
    clock = Clock()
    queue = Counting(store.queue, clock, tally_s=1.0)
    observer = Observer(clock)
    first = observer.look(queue)
    clock.now += 10
    store.queue.report(Worker("w", "here", 1, state="waiting"))
    second = observer.look(queue)
    assert queue.n_tallies == 1
    assert second.workers[0].state == "waiting"
    assert second.eta_s == max(first.eta_s - 11, 0.0)
    clock.now += 40
    observer.look(queue)
    assert queue.n_tallies == 2
    store.queue.stop_run("enough")
    assert observer.look(queue).state == "stopped", "another state is told at once"
    assert queue.n_tallies == 3


def test_failures_are_read_again_only_where_there_are_more(store):
    queued(store)
    finish(store, 1, "failed", "broken")
    clock = Clock()
    queue = Counting(store.queue, clock, tally_s=0.001)
    observer = Observer(clock)
    for _ in range(3):
        observer.look(queue)
        clock.now += 5
    assert (queue.n_tallies, queue.n_entries) == (3, 1)
    finish(store, 1, "failed", "broken")
    assert observer.look(queue).failures[0].n == 2
