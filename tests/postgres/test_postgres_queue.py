"""Several who work off one queue at the same time, and what PostgreSQL alone has of it."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg
import pytest
from store_samples import SETTINGS, item

from embedwell.core.errors import QueueError
from embedwell.core.events import Watch
from embedwell.stores.postgres import hnsw, purge, queue
from embedwell.stores.postgres.store import PostgresStore
from embedwell.stores.queue import Item, Outcome, Task, Which, Worker

N_WORKERS = 4


@pytest.fixture
def store(schema):
    with closing(PostgresStore.create(schema, SETTINGS)) as made:
        yield made


@pytest.fixture
def ask(schema, postgres_server):
    """Runs plain SQL in the store's schema."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {schema.rpartition('=')[2]}, public")

        def run(statement):
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

        yield run


def files(n: int, prefix: str = "f") -> list[Item]:
    return [Item(f"{prefix}{at:05}.md", "markdown", 10, at) for at in range(n)]


def queue_up(store: PostgresStore, n: int, canary_at: int = 0) -> tuple[int, int]:
    source = store.queue.add_source("folder", "notes", "/notes", "host", {})
    run = store.queue.open_run(canary_at)
    store.queue.enqueue(source.number, run.number, files(n))
    return source.number, run.number


def document(task: Task):
    made = item(task.item.key, ["one", "other words"])
    return replace(made, document=replace(made.document, source=task.source))


def at_once(schema, work, n: int = N_WORKERS) -> list:
    """Run `work(store, name)` in n threads, each with a store of its own."""
    start = threading.Barrier(n)

    def go(at):
        with closing(PostgresStore.open(schema)) as store:
            start.wait()
            return work(store, f"w{at}")

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(go, range(n)))


def test_thousands_of_rows_are_claimed_once_each(schema, store):
    queue_up(store, 3_000)

    def claim(store, name):
        mine = []
        while tasks := store.queue.claim(name, 37, 30):
            mine += tasks
        return mine

    shares = at_once(schema, claim)
    keys = Counter(task.item.key for share in shares for task in share)
    assert (len(keys), set(keys.values())) == (3_000, {1})
    for share in shares:
        assert [task.id for task in share] == sorted(task.id for task in share)


def test_claims_at_once_never_pass_the_next_check(schema, store):
    queue_up(store, 200, canary_at=50)

    def work(store, name):
        n = 0
        while tasks := store.queue.claim(name, 7, 30):
            n += len(tasks)
            store.put([], outcomes=[Outcome(task, "done") for task in tasks])
        return n

    assert sum(at_once(schema, work)) == 50
    assert store.queue.run().n_finished == 50
    assert store.queue.claim("late", 1, 30) == []


def test_one_of_many_begins_a_check(schema, store):
    queue_up(store, 5, canary_at=5)
    tasks = store.queue.claim("w", 9, 30)
    store.put([], outcomes=[Outcome(task, "done") for task in tasks])
    assert sum(at_once(schema, lambda store, name: store.queue.begin_check(name, 30))) == 1


def test_those_who_finish_queue_anew_and_delete_at_once_do_not_deadlock(schema, store):
    source, run = queue_up(store, 400)
    over = threading.Event()
    anew = files(400)

    def work(store, name):
        store.queue.report(Worker(name, "host", 1))
        n_put = 0
        while tasks := store.queue.claim(name, 20, 30):
            lost = store.put(
                [document(task) for task in tasks],
                outcomes=[Outcome(task, "done", n_chunks=2) for task in tasks],
            )
            n_put += len(tasks) - len(lost)
        return n_put

    def disturb():
        with closing(PostgresStore.open(schema)) as other:
            for turn in range(200):
                if over.is_set():
                    return
                some = anew[turn % 7 :: 7][::-1]
                other.queue.enqueue(source, run, some)
                other.delete([one.key for one in some[:9]])
                other.queue.release(f"w{turn % N_WORKERS}", lost=True)
                other.queue.enqueue(source, run, some[:9])

    disturber = threading.Thread(target=disturb)
    disturber.start()
    n_put = sum(at_once(schema, work))
    over.set()
    disturber.join()
    n_put += work(store, "last")
    assert {(row.status, row.n) for row in store.queue.tally()} == {("done", 400)}
    assert store.counts().documents == 400
    assert store.counts().chunks == 800
    assert store.queue.run().n_done == n_put
    assert sum(worker.n_done for worker in store.queue.workers()) <= n_put
    assert store.check() == []


def test_a_run_that_was_closed_while_its_rows_came_is_opened_again(store):
    source = store.queue.add_source("folder", "notes", "/notes", "host", {})
    run = store.queue.open_run(0)
    assert store.queue.close_run()
    store.queue.enqueue(source.number, run.number, files(1))
    assert store.queue.run().status == "running"
    assert store.queue.run().ended_at is None
    assert len(store.queue.claim("w", 9, 30)) == 1
    newer = store.queue.enqueue(source.number, run.number, files(1))
    assert newer == 1


def test_where_another_run_is_open_a_closed_one_stays_closed(store):
    source = store.queue.add_source("folder", "notes", "/notes", "host", {})
    old = store.queue.open_run(0)
    store.queue.close_run()
    new = store.queue.open_run(0)
    store.queue.enqueue(source.number, old.number, files(1))
    assert [run.status for run in store.queue.runs()] == ["done", "running"]
    assert store.queue.run().number == new.number


def test_those_who_open_a_run_at_once_open_one(schema, store):
    numbers = at_once(schema, lambda store, name: store.queue.open_run(0).number)
    assert len(set(numbers)) == 1
    assert len(store.queue.runs()) == 1


def test_of_those_who_add_a_source_at_once_one_has_no_prefix(schema, store):
    added = at_once(schema, lambda store, name: store.queue.add_source("folder", name, "", "", {}))
    assert sorted(source.prefix == "" for source in added) == [False] * (N_WORKERS - 1) + [True]


def test_a_large_load_comes_in_parts_and_the_server_counts_it(store, ask, monkeypatch):
    monkeypatch.setattr(queue, "_AT_ONCE", 3)
    monkeypatch.setattr(queue, "_ANALYZED", 10)
    source, run = queue_up(store, 10)
    assert store.queue.enqueue(source, run, [*files(10), *files(2)]) == 12
    assert len(store.queue.claim("w", 99, 30)) == 10
    assert ask("SELECT reltuples FROM pg_class WHERE oid = 'files_queue'::regclass") == [(10,)]


def test_texts_keep_every_character(store):
    odd = "a\0b\x1ac"
    source = store.queue.add_source("folder", odd, odd, odd, {odd: odd})
    assert store.queue.sources() == [source]
    run = store.queue.open_run(0).number
    row = Item(odd, "markdown", 1, 2, payload=odd)
    store.queue.enqueue(source.number, run, [row])
    assert store.queue.waiting(source.number) == {odd: (1, 2)}
    (task,) = store.queue.claim(odd, 1, 30)
    assert (task.item, task.worker) == (row, odd)
    store.queue.report(Worker(odd, odd, 1, error=odd))
    assert store.put([], outcomes=[Outcome(task, "failed", error=odd)]) == set()
    (entry,) = store.queue.entries(Which(source=odd), 9)
    assert (entry.error, entry.worker, entry.source) == (odd, odd, odd)
    (worker,) = store.queue.workers()
    assert (worker.name, worker.n_failed) == (odd, 1)
    store.queue.stop_run(odd)
    assert store.queue.run().reason == odd


def test_times_are_the_servers(store, ask):
    queue_up(store, 1)
    now = store.queue.now()
    assert abs(ask("SELECT extract(epoch FROM now())::float8")[0][0] - now) < 10
    assert abs(store.queue.run().started_at - now) < 10
    store.queue.claim("w", 1, 100)
    assert ask("SELECT lease_end - started_at < '101s' FROM files_queue") == [(True,)]


@contextmanager
def begun(address: str):
    """A connection in the middle of a transaction."""
    with psycopg.connect(address) as connection:
        yield connection
        connection.rollback()


def test_rows_that_somebody_holds_are_passed_over(store, schema, postgres_server):
    queue_up(store, 4)
    with begun(postgres_server) as other:
        other.execute(f"SET search_path TO {schema.rpartition('=')[2]}")
        other.execute("SELECT 1 FROM files_queue WHERE key <= 'f00001.md' FOR UPDATE")
        claimed = store.queue.claim("w", 9, 30)
    assert [task.item.key for task in claimed] == ["f00002.md", "f00003.md"]


# Purging


def test_emptying_a_collection_drops_its_index_before_and_makes_it_anew(store, ask, monkeypatch):
    monkeypatch.setattr(hnsw, "INDEXED_ROWS", 40)
    store.put([item("many", [f"word{at}" for at in range(50)])])
    before = ask("SELECT pg_total_relation_size('chunks')")[0][0]
    (node,) = ask("SELECT 'vectors_1_hnsw'::regclass::oid")
    said = store.queue.purge(Which(), dry_run=True)
    assert said.n_bytes > before
    assert store.index_kind == "hnsw"
    assert store.queue.purge(Which()) == said
    assert ask("SELECT 'vectors_1_hnsw'::regclass::oid") != [node]
    assert ask("SELECT pg_relation_size('chunks')") == [(0,)]
    assert store.index_kind == "hnsw"
    store.put([item("again", ["alpha"])])
    assert store.counts().chunks == 1
    assert store.check() == []


def test_the_bytes_of_a_part_are_its_share(store):
    queue_up(store, 100)
    tasks = store.queue.claim("w", 100, 30)
    for task in tasks[:50]:
        store.put([document(task)], outcomes=[Outcome(task, "done")])
    store.queue.release("w")
    everything = store.queue.purge(Which(), dry_run=True)
    half = store.queue.purge(Which(statuses=("pending",)), dry_run=True)
    assert 0 < half.n_bytes < everything.n_bytes
    assert store.queue.purge(Which(source="notes"), dry_run=True).n_bytes == everything.n_bytes
    assert half.rows["files_queue"] == 50
    assert store.queue.purge(Which(statuses=("done",))).rows["documents"] == 50
    assert store.counts().documents == 0
    assert store.check() == []


def test_what_is_named_wrongly_is_not_purged(store):
    with pytest.raises(QueueError, match="There is no source 'x'"):
        store.queue.purge(Which(source="x"))


@pytest.mark.parametrize(
    ("touched", "there", "taken", "left"),
    [
        ([1], {1: 3}, {1: 3}, [1]),
        ([1], {1: 3}, {1: 2}, []),
        ([1, 2, 2], {1: 0, 2: 1}, {2: 1}, [1, 2]),
        ([9], {1: 0}, {}, []),
    ],
)
def test_sources_and_runs_go_with_their_last_row(touched, there, taken, left):
    assert purge.gone(touched, there, taken) == left


def test_nobody_who_works_is_disturbed_by_a_purge_for_long(schema, store):
    queue_up(store, 300)

    def work(store, name):
        if name == "w0":
            return store.queue.purge(Which()).rows["files_queue"]
        n = 0
        while tasks := store.queue.claim(name, 10, 30):
            lost = store.put(
                [document(task) for task in tasks],
                outcomes=[Outcome(task, "done") for task in tasks],
            )
            n += len(tasks) - len(lost)
        return n

    counts = at_once(schema, work)
    assert counts[0] == 300
    assert store.counts().documents == 0
    assert store.queue.tally() == []
    store.tend_index(0, Watch())
    assert store.check() == []
