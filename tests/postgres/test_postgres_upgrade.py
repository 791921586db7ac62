"""A store of an older revision goes on as one of the newest, and back."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest
from schema_catalog import catalog
from store_samples import CODE_SPACE, PAIR, SETTINGS, SPACE, code_item, item, signs

from embedwell.core.errors import StoreError
from embedwell.core.events import Watch
from embedwell.stores.postgres.migrations import PostgresMigrations
from embedwell.stores.postgres.store import PostgresStore
from embedwell.stores.protocol import Filter
from embedwell.stores.queue import Item, Outcome, Which
from embedwell.stores.spaces import CODE_ALONE, EVERYTHING


@pytest.fixture
def ask(database):
    """Runs plain SQL in our schema."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET search_path TO embedwell, public")

        def run(statement):
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

        yield run


@pytest.fixture
def old(database, ask):
    """A store as an older embedwell left it: two files and a record."""
    with closing(PostgresStore.create(database, SETTINGS)) as store:
        store.put([item("a.md", ["alpha"]), item("b.py", ["beta"], language="python")])
        store.put([item("record", ["gamma"], is_record=True)])
    PostgresMigrations(database).downgrade("002")
    ask("INSERT INTO files_queue (collection, key) VALUES (1, 'nobody wrote such rows')")
    return database


def test_files_of_an_older_store_are_those_of_a_folder(old, ask):
    with closing(PostgresStore.open(old)) as store:
        (source,) = store.queue.sources()
        told = (source.kind, source.name, source.prefix, source.place, dict(source.options))
        assert told == ("folder", "folder", "", "", {})
        assert set(store.stats(source.number)) == set(store.stats()) == {"a.md", "b.py"}
        assert store.records() == ["record"]
        rows = store.queue.entries(Which(), 9)
        assert [(row.item.key, row.item.format, row.status, row.run) for row in rows] == [
            ("a.md", "markdown", "done", 0),
            ("b.py", "python", "done", 0),
        ]
        assert {key: (stat.size_bytes, stat.mtime_ns) for key, stat in store.stats().items()} == {
            row.item.key: (row.item.size_bytes, row.item.mtime_ns) for row in rows
        }
        assert (store.queue.run(), store.queue.waiting(source.number)) == (None, {})
        run = store.queue.open_run(0)
        changed = Item("a.md", "markdown", 9, 9)
        assert store.queue.enqueue(source.number, run.number, [changed]) == 1
        (task,) = store.queue.claim("w", 9, 30)
        document = item("a.md", ["alpha again"])
        assert store.put([document], outcomes=[Outcome(task, "done")]) == set()
        assert store.counts().documents == 3
        assert store.check() == []


def test_an_older_store_without_files_has_no_source(database, ask):
    with closing(PostgresStore.create(database, SETTINGS)) as store:
        store.put([item("record", ["gamma"], is_record=True)])
    PostgresMigrations(database).downgrade("002")
    with closing(PostgresStore.open(database)) as store:
        assert store.queue.sources() == []
        assert store.records() == ["record"]
        assert store.queue.add_source("folder", "notes", "", "", {}).prefix == ""


@pytest.mark.parametrize("revision", ["002", "003"])
def test_an_upgraded_store_has_the_schema_of_a_new_one(new_database, revision):
    one, other = new_database(), new_database()
    PostgresMigrations(one).upgrade(revision)
    PostgresMigrations(one).upgrade("head")
    PostgresMigrations(other).upgrade("head")
    assert catalog(one) == catalog(other)


def test_going_back_to_002_leaves_documents_and_keeps_others_out_of_the_folder(database, ask):
    PostgresMigrations(database).upgrade("002")
    before = catalog(database)
    with closing(PostgresStore.create(database, SETTINGS)) as store:
        store.queue.add_source("folder", "docs", "", "", {})
        for name, kind in (("posts", "records"), ("more", "folder")):
            source = store.queue.add_source(kind, name, "", "", {})
            run = store.queue.open_run(0)
            store.queue.enqueue(source.number, run.number, [Item(f"{name}:1", "text", 1, 1)])
        for task in store.queue.claim("w", 9, 30):
            document = item(task.item.key, ["text"])
            object.__setattr__(document.document, "source", task.source)
            store.put([document], outcomes=[Outcome(task, "done")])
        store.put([item("file.md", ["alpha"])])
        store.tend_index(0, Watch())
    PostgresMigrations(database).downgrade("002")
    assert ask("SELECT key, is_record FROM documents ORDER BY key") == [
        ("file.md", False),
        ("more:1", True),
        ("posts:1", True),
    ]
    after = catalog(database)
    for kind in ("columns", "constraints", "indexes"):
        assert [one for one in after[kind] if "vectors_1" not in one] == before[kind]


def test_spaces_of_an_older_store_hold_everything(database, ask):
    with closing(PostgresStore.create(database, SETTINGS)) as store:
        store.put([item("a.md", ["alpha"]), item("b.py", ["beta"], kind="code")])
        light = store.spaces.add(SPACE, "light", "").number
        begun = store.spaces.add(CODE_SPACE, "next", "", holds=CODE_ALONE).number
    PostgresMigrations(database).downgrade("003")
    assert ask("SELECT to_regclass(format('vectors_%s', id)) FROM spaces WHERE id > 1") == [
        (f"vectors_{light}",)
    ]
    assert ask("SELECT COUNT(embedding) FROM code_chunks") == [(1,)]
    with closing(PostgresStore.open(database)) as store:
        assert [one.holds for one in store.spaces.all()] == [EVERYTHING, EVERYTHING]
        assert store.spaces.add(CODE_SPACE, "next", "", holds=CODE_ALONE).number > begun
        assert len(store.nearest(signs(4), 9, Filter()).ids) == 2
        assert store.check() == []


def test_a_pair_with_code_in_it_is_not_taken_back(database, ask):
    with closing(PostgresStore.create(database, PAIR)) as store:
        store.put([item("a.md", ["alpha"]), code_item("b.py", ["beta"])])
        with pytest.raises(StoreError, match=r"no space for code alone.*--no-code"):
            PostgresMigrations(database).downgrade("003")
        store.delete(["b.py"])
        assert store.check() == []
    PostgresMigrations(database).downgrade("003")
    assert ask("SELECT role FROM spaces") == [("main",)]
    with closing(PostgresStore.open(database)) as store:
        assert store.settings == SETTINGS
