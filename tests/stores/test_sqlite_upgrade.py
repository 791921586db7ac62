"""A file of an older schema becomes one of the newest, whole or not at all."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from store_samples import SETTINGS, SPACE, item, sha, signs

from embedwell.core.errors import StoreBusyError, StoreError, StoreFullError, StoreReadOnlyError
from embedwell.stores.protocol import Filter
from embedwell.stores.queue import Which
from embedwell.stores.sqlite import SqliteStore, database, schema
from kills import killed

ITEMS = [
    item("a.md", ["alpha one", "beta two"], metadata={"n": 1}),
    item("b.py", ["gamma alpha"], kind="code", language="python"),
    item("empty", []),
    item("told", ["delta one"], is_record=True),
]


def make_old(path: Path, number: int = 1, n_more: int = 0) -> None:
    """A file of an older schema, with `ITEMS` and some more documents."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA page_size = 8192")
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(f"BEGIN; {schema.schema_text(1)} COMMIT;")
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        db.execute("PRAGMA user_version = 1")
        db.execute("BEGIN")
        db.execute("INSERT INTO spaces VALUES (1, ?, ?, ?)", (SPACE.id, SPACE.to_json(), 16))
        db.execute("INSERT INTO collections VALUES (1, 'default', 1, 20, 'a test')")
        more = [item(f"more{n}", [f"text {n}", f"other {n}"]) for n in range(n_more)]
        for at, one in enumerate([*ITEMS, *more], 1):
            _add_old(db, at, one)
        db.execute("COMMIT")
        for later in range(2, number + 1):
            db.executescript(f"BEGIN; {schema.schema_text(later)} COMMIT;")
            db.execute(f"PRAGMA user_version = {later}")


def _add_old(db: sqlite3.Connection, number: int, one) -> None:
    document = one.document
    row = (number, 1, document.key, document.size_bytes, 7, document.sha256, document.kind)
    metadata = '{"n": 1}' if document.metadata else "{}"
    db.execute(
        "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*row, document.language, document.is_record, metadata),
    )
    if document.metadata:
        db.execute("INSERT INTO document_metadata VALUES (?, 'n', '1')", (number,))
    for chunk, vector in zip(one.chunks, one.vectors, strict=True):
        places = (chunk.start, chunk.end, chunk.start_line, chunk.end_line)
        row = (number, *places, "", chunk.text, "", chunk.embedded_sha256)
        columns = "document, start_offset, end_offset, start_line, end_line, title, text, pieces"
        added = db.execute(
            f"INSERT INTO chunks ({columns}, embedded_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        ).lastrowid
        blob = vector.astype("<f2").tobytes()
        db.execute("INSERT INTO vectors VALUES (1, ?, ?)", (added, blob))
        db.execute(
            "INSERT INTO lexical (rowid, title, path, text, pieces) VALUES (?, '', ?, ?, '')",
            (added, document.key, chunk.text),
        )


@pytest.fixture(params=[1, 2, 3])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "old.db"
    make_old(path, request.param)
    return path


def shape(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return sorted(db.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_schema"))


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


def results(store: SqliteStore) -> list[object]:
    ids = store.nearest(signs(0), 99, Filter()).ids
    return [
        *(store.nearest(signs(n), 9, Filter()).scores.tolist() for n in range(20)),
        *(sorted(store.matching(word, 9, Filter()).ids.tolist()) for word in ("alpha", "two")),
        store.nearest(signs(1), 9, Filter(metadata={"n": 1})).ids.tolist(),
        store.chunks(ids.tolist()),
        store.stats(),
        store.settings,
        [vector.tolist() for vector in store.known_vectors([sha("beta two")]).values()],
    ]


def test_an_upgraded_file_is_like_a_new_one_and_finds_the_same(old: Path, tmp_path: Path):
    with closing(SqliteStore.open(old)) as upgraded:
        assert version(old) == schema.VERSION
        assert upgraded.check() == []
        with closing(SqliteStore.create(tmp_path / "new.db", SETTINGS)) as new:
            new.put(ITEMS)
            assert results(upgraded) == results(new)
            upgraded.put([item("c", ["delta"])])
            new.put([item("c", ["delta"])])
            assert results(upgraded) == results(new)
            assert upgraded.delete(["a.md"]) == 1
            assert upgraded.check() == []
    assert shape(old) == shape(tmp_path / "new.db")


def test_files_of_an_older_one_are_those_of_the_folder_that_the_index_lies_in(old: Path):
    with closing(SqliteStore.open(old)) as store:
        (source,) = store.queue.sources()
        assert (source.kind, source.name, source.prefix, source.place) == (
            "folder",
            "folder",
            "",
            "",
        )
        assert store.stats(source.number) == store.stats()
        assert set(store.stats()) == {"a.md", "b.py", "empty"}
        assert store.records() == ["told"]
        entries = store.queue.entries(Which(), 9)
        assert {(one.item.key, one.item.format) for one in entries} == {
            ("a.md", "markdown"),
            ("b.py", "python"),
            ("empty", "markdown"),
        }
        assert {(one.status, one.source, one.run) for one in entries} == {("done", "folder", 0)}
        assert (store.queue.runs(), store.queue.waiting(source.number)) == ([], {})
        run = store.queue.open_run(0)
        store.queue.enqueue(source.number, run.number, [entries[0].item])
        (task,) = store.queue.claim("w", 9, 99)
        assert task.sha256 == ITEMS[0].document.sha256
        assert store.queue.purge(Which(source="folder")).rows["documents"] == 3
        assert store.check() == []


def test_an_older_file_of_records_alone_gets_no_source(tmp_path: Path):
    path = tmp_path / "old.db"
    make_old(path, 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("UPDATE documents SET is_record = 1")
    with closing(SqliteStore.open(path)) as store:
        assert (store.queue.sources(), store.queue.entries(Which(), 9)) == ([], [])
        assert store.check() == []


def test_every_table_is_missed(sqlite_store: SqliteStore):
    tables = {name for kind, name, _ in shape(sqlite_store.path) if kind == "table"}
    ours = {name for name in tables if not name.startswith(("sqlite_", "lexical_", "vectors_"))}
    assert ours == schema.TABLES


def test_further_spaces_have_tables_like_the_first(sqlite_store: SqliteStore):
    number = sqlite_store.spaces.add(SPACE, "next", "").number
    tables = {name: " ".join(sql.split()) for _, name, sql in shape(sqlite_store.path)}
    for name in ("vectors_{}", "vectors_{}_removed"):
        expected = tables[name.format(1)].replace("vectors_1", f"vectors_{number}")
        assert tables[name.format(number)] == expected.replace("(1, old", f"({number}, old")
    sqlite_store.spaces.drop(number)
    assert not [name for _, name, _ in shape(sqlite_store.path) if f"vectors_{number}" in name]


def test_opened_for_reading_an_old_file_stays_and_says_what_to_do(old: Path):
    before = old.read_bytes()
    with pytest.raises(StoreReadOnlyError, match=r"older embedwell \(schema [123].*Open it once"):
        SqliteStore.open(old, read_only=True)
    assert old.read_bytes() == before


def test_an_upgrade_that_fails_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch):
    with closing(sqlite3.connect(old)) as db:
        db.execute("INSERT INTO chunks SELECT 77, 77, 0, 0, 1, 1, '', '', '', ''")
        db.commit()
    before = shape(old), version(old)
    with pytest.raises(StoreError, match=r"damaged.*1 rows"):
        SqliteStore.open(old)
    assert (shape(old), version(old)) == before
    monkeypatch.setattr(database, "BUSY_S", 0.01)
    with closing(sqlite3.connect(old)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError):
            SqliteStore.open(old)


def test_without_room_an_upgrade_changes_nothing(tmp_path: Path):
    path = tmp_path / "old.db"
    make_old(path, n_more=400)
    before = shape(path)
    opened = database.connect(path, "rw", read_only=False)
    with closing(opened):
        opened.rows(f"PRAGMA max_page_count = {opened.value('PRAGMA page_count')}")
        with pytest.raises(StoreFullError):
            schema.bring_up_to_date(opened)
    assert (shape(path), version(path)) == (before, 1)
    with closing(SqliteStore.open(path)) as store:
        assert store.counts().chunks == 804


def test_two_that_open_an_old_file_upgrade_it_once(old: Path):
    first = database.connect(old, "rw", read_only=False)
    with closing(first):
        SqliteStore.open(old).close()
        schema._upgrade(first)  # it looked before the other one was done
    with closing(SqliteStore.open(old)) as store:
        assert store.check() == []


OPENER = """
from pathlib import Path
from embedwell.stores.sqlite import SqliteStore
print("ready", flush=True)
SqliteStore.open(Path(sys.argv[1]))
print("done", flush=True)
"""


@pytest.mark.parametrize("number", [1, 2])
def test_killed_at_any_moment_the_file_is_old_or_new(tmp_path: Path, number: int):
    source = tmp_path / "source.db"
    make_old(source, number, n_more=1_000)
    seen = set()
    for n in range(8):
        path = tmp_path / f"{n}.db"
        shutil.copy(source, path)
        done = killed(OPENER, [path], 0.004 * n)
        seen.add(version(path))
        assert version(path) == schema.VERSION or not done
        with closing(SqliteStore.open(path)) as store:
            assert store.counts().chunks == 2_004
            assert store.check() == []
            assert [(row.status, row.n) for row in store.queue.tally()] == [
                ("done", 1_002),
                ("done", 1),
            ]
            assert len(store.nearest(signs(1), 9_999, Filter()).ids) == 2_004
            np.testing.assert_array_equal(
                store.known_vectors([sha("alpha one")])[sha("alpha one")], ITEMS[0].vectors[0]
            )
    assert seen <= {number, schema.VERSION}
