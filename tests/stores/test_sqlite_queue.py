"""The queue of a SQLite file: what is checked, what a purge leaves, killed at any moment."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from store_samples import SETTINGS, SPACE, item, signs

from embedwell.core.errors import StoreReadOnlyError
from embedwell.stores.protocol import Filter
from embedwell.stores.queue import Item, Outcome, Which
from embedwell.stores.sqlite import SqliteStore, segments, vectors
from kills import killed

ALL = Filter()


def fill(store: SqliteStore, n: int, name: str = "notes") -> None:
    """Documents of two chunks each, through the queue."""
    source = store.queue.add_source("folder", name, f"/{name}", "", {})
    run = store.queue.open_run(0)
    keys = [f"{source.prefix}d{at}" for at in range(n)]
    store.queue.enqueue(source.number, run.number, [Item(key, "text", 1, 1) for key in keys])
    tasks = store.queue.claim("w", n, 99)
    documents = [
        item(key, [f"alpha {at}", "beta"], [signs(at), signs(at + 1)], source=source.number)
        for at, key in enumerate(keys)
    ]
    store.put(documents, outcomes=[Outcome(task, "done", n_chunks=2) for task in tasks])
    store.queue.close_run()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "index.db"
    with closing(SqliteStore.create(path, SETTINGS)) as store:
        fill(store, 3)
    return path


def damage(path: Path, statement: str) -> list[str]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)
    with closing(SqliteStore.open(path)) as store:
        return store.check()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE files_queue SET key = 'x' WHERE key = 'd1'", "1 files are done"),
        ("DELETE FROM files_queue WHERE key <> 'd1'", "2 documents of a source have no row"),
        ("UPDATE files_queue SET status = 'leased'", "3 rows of the queue are leased"),
        ("DELETE FROM sources", "3 rows of documents belong to rows of sources"),
    ],
)
def test_a_queue_that_does_not_agree_with_the_documents_is_told_of(file, statement, told):
    assert any(fault.startswith(told) for fault in damage(file, statement))


def test_a_purge_can_be_planned_where_nothing_can_be_written(file: Path):
    with closing(SqliteStore.open(file, read_only=True)) as store:
        for which in (Which(), Which(source="notes")):
            assert store.queue.purge(which, dry_run=True).rows["vectors"] == 6
            with pytest.raises(StoreReadOnlyError):
                store.queue.purge(which)


def test_a_purge_tells_about_how_many_bytes_it_takes(sqlite_store: SqliteStore):
    fill(sqlite_store, 300)
    fill(sqlite_store, 100, "posts")
    whole = sqlite_store.queue.purge(Which(), dry_run=True).n_bytes
    quarter = sqlite_store.queue.purge(Which(source="posts"), dry_run=True).n_bytes
    assert whole / 5 < quarter < whole / 2
    assert whole <= sqlite_store.counts().size_bytes
    sqlite_store.queue.purge(Which(source="posts"))
    before = sqlite_store.compact().after_bytes
    sqlite_store.queue.purge(Which())
    assert sqlite_store.compact().after_bytes < before


@pytest.mark.parametrize("which", [Which(), Which(source="notes")])
def test_every_space_loses_its_vectors_and_readers_follow(tmp_path: Path, which, monkeypatch):
    monkeypatch.setattr(vectors, "EXACT_ROWS", 0)
    monkeypatch.setattr(segments, "BLOCK", 4)
    path = tmp_path / "index.db"
    with closing(SqliteStore.create(path, SETTINGS)) as store:
        fill(store, 20)
        number = store.spaces.add(SPACE, "light", "").number
        ids = np.array([found.id for found in store.spaces.missing(number, 0, 99)])
        store.spaces.fill(number, ids, np.array([signs(int(n)) for n in ids]))
        fill(store, 2, "posts")
        shape = _shape(path)
        with closing(SqliteStore.open(path)) as reader:
            assert len(reader.nearest(signs(1), 99, ALL).ids) == 44
            assert len(reader.nearest(signs(1), 99, ALL, space=number).ids) == 40
            assert store.queue.purge(which).rows["vectors"] == (84 if which == Which() else 80)
            left = 0 if which == Which() else 4
            assert len(reader.nearest(signs(1), 99, ALL).ids) == left
            assert len(reader.nearest(signs(1), 99, ALL, space=number).ids) == 0
        assert _shape(path) == shape
        assert store.check() == []
        fill(store, 2, "more")
        store.delete(["more:d0" if left else "d0"])
        assert len(store.nearest(signs(1), 99, ALL).ids) == left + 2
        assert store.check() == []


def _shape(path: Path) -> list[tuple[str, ...]]:
    """Tables, indexes and triggers, however they were made."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")
        return [(name, " ".join(sql.split())) for name, sql in rows]


PURGER = """
from pathlib import Path
from embedwell.stores.queue import Which
from embedwell.stores.sqlite import SqliteStore
store = SqliteStore.open(Path(sys.argv[1]))
print("ready", flush=True)
store.queue.purge(Which(source=sys.argv[2]))
print("done", flush=True)
"""


@pytest.mark.parametrize(("name", "n_left"), [("notes", 100), ("", 0)])
def test_killed_in_a_purge_all_is_there_or_nothing_of_it(tmp_path: Path, name, n_left):
    source = tmp_path / "source.db"
    with closing(SqliteStore.create(source, SETTINGS)) as store:
        fill(store, 300)
        fill(store, 100, "posts")
    for n in range(5):
        path = tmp_path / f"{n}.db"
        shutil.copy(source, path)
        done = killed(PURGER, [path, name], 0.004 * n)
        with closing(SqliteStore.open(path)) as store:
            found = store.counts().documents
            assert found == n_left or (found == 400 and not done)
            assert sum(row.n for row in store.queue.tally()) == found
            assert len(store.nearest(signs(1), 999, ALL).ids) == 2 * found
            assert store.check() == []
