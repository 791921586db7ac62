"""The index over vectors: when it is there, how it is built, and what is said of it."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

import numpy as np
import psycopg
import pytest
from store_samples import DIMENSIONS, SETTINGS, item, signs

from embedwell.core.errors import StoreBusyError, StoreGoneError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.stores.postgres import hnsw
from embedwell.stores.postgres.hnsw import Load, is_ordinary, is_wanted, ordinary_ratio
from embedwell.stores.postgres.store import PostgresStore
from embedwell.stores.protocol import Filter
from embedwell.stores.queue import Item, Outcome

ALL = Filter()


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch):
    monkeypatch.setattr(hnsw, "INDEXED_ROWS", 40)
    monkeypatch.setattr(hnsw, "LARGE_LOAD", 20)
    monkeypatch.setattr(hnsw, "POLL_S", 0.02)


@pytest.fixture
def store(schema):
    made = PostgresStore.create(schema, SETTINGS)
    yield made
    made.close()


@pytest.fixture
def other(schema, store):
    made = PostgresStore.open(schema)
    yield made
    made.close()


@pytest.fixture
def ask(schema, postgres_server):
    """Runs plain SQL in the store's schema."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {schema.rpartition('=')[2]}, public")

        def run(statement):
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

        yield run


def many(n: int, key: str = "many"):
    rows = np.random.default_rng(len(key)).standard_normal((n, DIMENSIONS)).astype(np.float32)
    return item(key, [f"word{at}" for at in range(n)], list(rows))


LARGE, FROM = 10_000, 100_000


@pytest.mark.parametrize(
    ("load", "wanted"),
    [
        (Load(0, 0, 0), True),  # nothing under way
        (Load(500_000, 0, 0), True),
        (Load(0, 0, LARGE - 1), True),  # small
        (Load(0, 0, LARGE), False),
        (Load(LARGE, 0, LARGE), False),  # doubles what is there
        (Load(LARGE + 1, 0, LARGE), True),  # a small addition never drops it
        (Load(1_000_000, 0, 130_000), True),
        (Load(999, 999, 9_001), False),  # 10 % are not in yet
        (Load(1_000, 1_000, 9_000), True),
        (Load(99_999, 99_999, 1_900_001), False),
        (Load(FROM, FROM, 1_900_000), True),  # 5 %, but 100,000
        (Load(130_000, 130_000, 0), True),  # the end
        (Load(130_000, 500, 129_500), False),  # all anew: most are counted as there before
    ],
)
def test_an_index_is_wanted_but_at_the_beginning_of_a_large_load(monkeypatch, load, wanted):
    monkeypatch.setattr(hnsw, "LARGE_LOAD", LARGE)
    assert is_wanted(load) is wanted


@pytest.mark.parametrize(
    ("dimensions", "index_bytes", "table_bytes"),
    [(64, 435, 180), (384, 1_171, 822), (768, 2_049, 1_681), (1_024, 2_732, 2_888)],
)
def test_the_size_of_a_new_index_is_ordinary(dimensions, index_bytes, table_bytes):
    """Bytes of a row as they were measured."""
    assert is_ordinary(index_bytes, table_bytes, dimensions)
    assert not is_ordinary(3 * index_bytes, table_bytes, dimensions)
    assert not is_ordinary(index_bytes // 4, table_bytes, dimensions)
    assert ordinary_ratio(4_000) == pytest.approx(1, abs=0.1)


def begin_load(store, n: int):
    """A run with n rows of its queue."""
    source = store.queue.add_source("folder", "notes", "/notes", "host", {})
    run = store.queue.open_run(0)
    items = [Item(f"new{at}", "markdown", 1, 1) for at in range(n)]
    store.queue.enqueue(source.number, run.number, items)


def load_some(store, n: int) -> None:
    """Store the next n rows of the queue, with a few chunks each."""
    tasks = store.queue.claim("w", n, 30)
    documents = [many(5, task.item.key) for task in tasks]
    with_source = [
        replace(one, document=replace(one.document, source=tasks[0].source)) for one in documents
    ]
    assert store.put(with_source, outcomes=[Outcome(task, "done") for task in tasks]) == set()


def test_a_large_load_goes_without_an_index_until_a_tenth_is_in(store):
    store.put([many(50)])
    assert store.index_kind == "hnsw"
    begin_load(store, 100)
    store.tend_index(100, Watch())
    assert store.index_kind == "exact"
    load_some(store, 9)
    store.tend_index(91, Watch())
    assert store.index_kind == "exact"
    load_some(store, 1)
    store.tend_index(90, Watch())
    assert store.index_kind == "hnsw"
    load_some(store, 90)
    store.queue.close_run()
    store.tend_index(0, Watch())
    assert store.index_kind == "hnsw"
    assert len(store.nearest(many(50).vectors[0], 3, ALL).ids) == 3
    assert store.check() == []


@pytest.mark.parametrize(("anew", "kind"), [(False, "hnsw"), (True, "exact")])
def test_files_that_were_only_touched_leave_the_index(store, anew, kind):
    begin_load(store, 30)
    load_some(store, 30)
    store.queue.close_run()
    store.tend_index(0, Watch())
    (source,) = store.queue.sources()
    run = store.queue.open_run(0)
    touched = [Item(f"new{at}", "markdown", 1, 2, anew=anew) for at in range(30)]
    store.queue.enqueue(source.number, run.number, touched)
    store.tend_index(30, Watch())
    assert store.index_kind == kind


def test_a_small_addition_goes_into_the_index(store):
    store.put([many(50)])
    begin_load(store, 5)
    store.tend_index(5, Watch())
    load_some(store, 5)
    store.tend_index(0, Watch())
    assert store.index_kind == "hnsw"
    assert store.counts().chunks == 75


def test_while_a_load_is_under_way_what_programs_add_builds_no_index(store):
    begin_load(store, 30)
    store.put([many(50)])
    assert store.index_kind == "exact"
    store.queue.stop_run("enough")
    store.put([many(50, "more")])
    assert store.index_kind == "exact"
    store.tend_index(0, Watch())
    assert store.index_kind == "hnsw"


def test_an_index_is_built_once_there_are_many_rows(store):
    store.put([many(30)])
    assert store.index_kind == "exact"
    store.put([many(50)])
    assert store.index_kind == "hnsw"
    query = many(50).vectors[0]
    found = store.nearest(query, 5, ALL)
    np.testing.assert_allclose(store.similarities(query, found.ids), found.scores, atol=2e-6)
    assert found.scores[0] > 0.999


def test_a_long_job_leaves_the_index_for_its_end(store):
    with store.writing():
        store.put([many(50)])
        assert store.index_kind == "exact"
    store.tend_index(0, Watch())
    assert store.index_kind == "hnsw"


def test_the_lock_of_long_jobs_is_free_while_an_index_is_built(store, other, ask):
    with store.writing():
        store.put([many(50)])
    entered = []

    def enter_and_stop(progress):
        with other.writing():
            entered.append(progress.stage)

    ask("BEGIN; SELECT 1; LOCK TABLE vectors_1 IN ROW EXCLUSIVE MODE")  # the builder waits for it
    watch = Watch(enter_and_stop)
    building = threading.Thread(target=store.tend_index, args=(0, watch))
    building.start()
    while not entered:
        pass
    ask("COMMIT")
    building.join()
    assert entered[0].startswith("index: ")
    assert store.index_kind == "hnsw"


def test_one_builds_and_others_go_on_without_waiting(store, other, ask):
    with store.writing():
        store.put([many(50)])
    begun = threading.Event()
    ask("BEGIN; LOCK TABLE vectors_1 IN ROW EXCLUSIVE MODE")
    watch = Watch(lambda progress: begun.set())
    building = threading.Thread(target=store.tend_index, args=(0, watch))
    building.start()
    begun.wait()
    other.tend_index(0, Watch())
    assert other.index_kind == "exact"
    with pytest.raises(StoreBusyError, match="building the index"):
        other.compact()
    ask("COMMIT")
    building.join()
    assert other.index_kind == "hnsw"


def test_others_write_and_search_while_an_index_is_built(store, other):
    done, calls = threading.Event(), []

    def work():
        while not done.is_set():
            other.put([item(f"d{len(calls) % 3}", ["alpha"])])
            calls.append(len(other.nearest(signs(1), 3, ALL).ids))

    with store.writing():
        store.put([many(2_000)])
    thread = threading.Thread(target=work)
    thread.start()
    store.tend_index(0, Watch())
    done.set()
    thread.join()
    assert set(calls) <= {3}
    assert store.index_kind == "hnsw"
    assert (store.check(), store.counts().chunks) == ([], 2_000 + min(len(calls), 3))


def test_who_is_asked_to_stop_stops_building_and_the_next_one_mends_it(store, ask):
    with store.writing():
        store.put([many(50)])
    ask("BEGIN; LOCK TABLE vectors_1 IN ROW EXCLUSIVE MODE")
    watch = Watch()
    object.__setattr__(watch, "listener", lambda progress: watch.cancelled.set())
    with pytest.raises(TaskCancelledError):
        store.tend_index(0, watch)
    ask("COMMIT")
    assert store.index_kind == "exact"
    assert any("vectors_1_hnsw" in fault for fault in store.check())
    store.tend_index(0, Watch())
    assert store.index_kind == "hnsw"
    assert store.check() == []


def test_a_builder_that_is_killed_is_told_and_the_next_one_mends_it(store, ask):
    with store.writing():
        store.put([many(50)])
    ask("BEGIN; LOCK TABLE vectors_1 IN ROW EXCLUSIVE MODE")

    def kill(progress):
        ask("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index")

    with pytest.raises(StoreGoneError):
        store.tend_index(0, Watch(kill))
    ask("COMMIT")
    assert store.index_kind == "exact"
    store.tend_index(0, Watch())
    assert store.index_kind == "hnsw"
    assert store.check() == []


@pytest.mark.parametrize("mend", ["tend", "compact"])
def test_an_index_that_was_not_built_to_its_end_is_told_and_mended(store, ask, mend):
    store.put([many(50)])
    ask("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'vectors_1_hnsw'::regclass")
    assert store.index_kind == "exact"
    assert any("vectors_1_hnsw" in fault for fault in store.check())
    if mend == "tend":
        store.tend_index(0, Watch())
    else:
        store.compact()
    assert store.index_kind == "hnsw"
    assert store.check() == []


def test_an_index_of_unusual_size_is_told_of_at_the_end_of_a_load(store, monkeypatch, caplog):
    store.put([many(50)])
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(hnsw, "ORDINARY_FACTOR", 0.001)
    store.tend_index(7, Watch())
    assert caplog.records == []
    store.tend_index(0, Watch())
    assert "times is ordinary. Run `embedwell compact`." in caplog.text
    caplog.clear()
    monkeypatch.setattr(hnsw, "ORDINARY_FACTOR", 100.0)
    store.tend_index(0, Watch())
    assert caplog.records == []
