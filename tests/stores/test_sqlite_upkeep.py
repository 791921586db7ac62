"""Compacting and copying a file that is in use, and finding what is broken in it."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from store_samples import DIMENSIONS, SETTINGS, SPACE, item, signs

from embedwell.core.errors import StoreBusyError, StoreError, StoreFullError, StoreReadOnlyError
from embedwell.stores.protocol import Filter
from embedwell.stores.scan.bits import encode
from embedwell.stores.sqlite import SqliteStore, check, database, upkeep
from kills import killed

ALL = Filter()


def fill(store: SqliteStore, n: int, words: str = "alpha beta " * 40) -> None:
    store.put([item(f"d{at}", [f"{words} {at}", "gamma"]) for at in range(n)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "index.db"
    with closing(SqliteStore.create(path, SETTINGS)) as store:
        fill(store, 60)
    return path


def test_compacting_gives_space_back_while_others_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "BUSY_S", 0.05)  # so long it waits for the reader
    with (
        closing(SqliteStore.create(tmp_path / "index.db", SETTINGS)) as store,
        closing(SqliteStore.open(tmp_path / "index.db")) as reader,
    ):
        fill(store, 400)
        store.delete([f"d{n}" for n in range(360)])
        with reader.snapshot():
            expected = reader.nearest(signs(1), 999, ALL).ids.tolist()
            first = store.compact()
            assert reader.nearest(signs(1), 999, ALL).ids.tolist() == expected
            assert len(expected) == 80
        second = store.compact()
        assert reader.nearest(signs(1), 999, ALL).ids.tolist() == expected
        assert len(reader.matching("gamma", 999, ALL).ids) == 40
        assert reader.check() == []
        assert second.after_bytes < first.before_bytes / 3
        assert second.after_bytes == store.counts().size_bytes
        assert store._database.value("SELECT count(*) FROM removed_vectors") == 0


def test_a_dropped_space_gives_its_bytes_back(sqlite_store: SqliteStore):
    fill(sqlite_store, 50)
    plain = sqlite_store.compact().after_bytes
    for _ in range(2):
        number = sqlite_store.spaces.add(SPACE, "next", "").number
        ids = np.array([found.id for found in sqlite_store.spaces.missing(number, 0, 999)])
        sqlite_store.spaces.fill(number, ids, np.array([signs(int(n)) for n in ids]))
        sqlite_store.spaces.drop(number)
    assert abs(sqlite_store.compact().after_bytes - plain) <= 2 * 8192


def test_one_works_on_the_file_at_a_time(file: Path):
    with closing(SqliteStore.open(file)) as one, closing(SqliteStore.open(file)) as two:
        with one.writing(), pytest.raises(StoreBusyError, match="Another process"):
            two.compact()
        with one.snapshot(), pytest.raises(StoreError):
            one.compact()
        two.compact()


def test_without_room_nothing_is_begun(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upkeep.shutil, "disk_usage", lambda path: SimpleNamespace(free=9))
    with closing(SqliteStore.open(file)) as store:
        store.delete(["d1"])
        with pytest.raises(StoreFullError, match="needs up to"):
            store.compact()
        assert store.check() == []


def test_what_is_opened_for_reading_is_not_compacted_but_copied(file: Path, tmp_path: Path):
    with closing(SqliteStore.open(file, read_only=True)) as store:
        with pytest.raises(StoreReadOnlyError):
            store.compact()
        assert store.check() == []
        store.backup(tmp_path / "copy.db")
    assert (tmp_path / "copy.db").exists()


COMPACTER = """
from pathlib import Path
from embedwell.stores.sqlite import SqliteStore
store = SqliteStore.open(Path(sys.argv[1]))
print("ready", flush=True)
store.delete([f"d{n}" for n in range(1, 400, 2)])
print("deleted", flush=True)
store.compact()
"""


def test_killed_while_compacting_nothing_is_lost(tmp_path: Path):
    source = tmp_path / "source.db"
    with closing(SqliteStore.create(source, SETTINGS)) as store:
        fill(store, 400)
    for n in range(8):
        path = tmp_path / f"{n}.db"
        shutil.copy(source, path)
        lines = killed(COMPACTER, [path], 0.02 + 0.006 * n)
        with closing(SqliteStore.open(path)) as store:
            n_left = store.counts().documents
            assert n_left == 200 or (n_left == 400 and not lines)
            assert store.check() == []
            assert len(store.nearest(signs(1), 999, ALL).ids) == 2 * n_left
            assert len(store.matching("gamma", 999, ALL).ids) == n_left
            store.compact()


MIGRATOR = """
from pathlib import Path
import numpy as np
from store_samples import SPACE, signs
from embedwell.stores.sqlite import SqliteStore
store = SqliteStore.open(Path(sys.argv[1]))
print("ready", flush=True)
number = store.spaces.add(SPACE, "next", "a test").number
while missing := store.spaces.missing(number, 0, 40):
    ids = np.array([found.id for found in missing])
    store.spaces.fill(number, ids, np.array([signs(int(n)) for n in ids]))
    print(len(ids), flush=True)
store.spaces.switch(number, keep=False)
print("switched", flush=True)
"""


def test_killed_while_migrating_what_was_filled_stays_and_one_space_is_searched(tmp_path: Path):
    source = tmp_path / "source.db"
    with closing(SqliteStore.create(source, SETTINGS)) as store:
        fill(store, 200)
    for n in range(8):
        path = tmp_path / f"{n}.db"
        shutil.copy(source, path)
        lines = killed(MIGRATOR, [path], 0.005 * n)
        with closing(SqliteStore.open(path)) as store:
            assert store.check() == []
            assert len(store.nearest(signs(1), 999, ALL).ids) == 400
            main, *others = sorted(store.spaces.all(), key=lambda stored: stored.role)
            n_filled = sum(int(line) for line in lines if line.isdigit())
            if "switched" in lines:
                assert (main.number, others) == (2, [])
            for stored in others:
                assert store.spaces.n_missing(stored.number) <= 400 - n_filled
                store.spaces.drop(stored.number)
            assert store.check() == []


def test_a_backup_is_the_store_as_it_was(file: Path, tmp_path: Path):
    target = tmp_path / "deep" / "copy.db"
    with closing(SqliteStore.open(file)) as store:
        expected = store.nearest(signs(1), 999, ALL).ids.tolist()
        store.backup(target)
        store.delete(["d1"])
        with pytest.raises(StoreError, match="already"):
            store.backup(target)
        with pytest.raises(StoreError, match="already"):
            store.backup(file)
    assert [path.name for path in target.parent.iterdir()] == ["copy.db"]
    with closing(SqliteStore.open(target)) as copy:
        assert copy.nearest(signs(1), 999, ALL).ids.tolist() == expected
        assert copy.check() == []
        copy.put([item("new", ["delta"])])


def test_a_backup_ends_though_others_never_stop_writing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "COPIED_PAGES", 1)
    stop, written = threading.Event(), []

    def write() -> None:
        with closing(SqliteStore.open(file)) as writer:
            while not stop.is_set():
                writer.put([item(f"more{len(written)}", ["delta"])])
                written.append(1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with closing(SqliteStore.open(file)) as store:
            while not written:
                pass
            n_before = len(written)
            store.backup(tmp_path / "copy.db")
            n_after = len(written)
    finally:
        stop.set()
        thread.join()
    with closing(SqliteStore.open(tmp_path / "copy.db")) as copy:
        assert 60 + n_before <= copy.counts().documents <= 60 + n_after + 1
        assert copy.check() == []


def test_a_backup_without_room_leaves_nothing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    connect = upkeep.connect

    def small(path: Path, mode: str, *, read_only: bool) -> database.Database:
        opened = connect(path, mode, read_only=read_only)
        opened.rows("PRAGMA max_page_count = 3")
        return opened

    monkeypatch.setattr(upkeep, "connect", small)
    target = tmp_path / "other" / "copy.db"
    with closing(SqliteStore.open(file)) as store, pytest.raises(StoreFullError, match=r"copy\.db"):
        store.backup(target)
    assert list(target.parent.iterdir()) == []


def test_a_damaged_file_is_not_backed_up_as_if_it_were_sound(file: Path, tmp_path: Path):
    with closing(sqlite3.connect(file)) as db:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'chunks_embedded'"
        (page,) = db.execute(query).fetchone()
    content = bytearray(file.read_bytes())
    content[(page - 1) * 8192 + 100 : page * 8192] = bytes(8192 - 100)
    file.write_bytes(content)
    with closing(SqliteStore.open(file)) as store:
        assert any(fault.startswith("SQLite: ") for fault in store.check())
        with pytest.raises(StoreError, match=r"damaged.*copy is not sound"):
            store.backup(tmp_path / "copy" / "copy.db")
    assert list((tmp_path / "copy").iterdir()) == []


def broken(path: Path, *statements: tuple[object, ...]) -> list[str]:
    """What `check` says after somebody else's hands were in the file."""
    with closing(sqlite3.connect(path)) as db:
        for statement, *parameters in statements:
            db.execute(statement, parameters)
        db.commit()
    with closing(SqliteStore.open(path)) as store:
        return store.check()


def test_missing_and_broken_vectors_are_counted(file: Path):
    assert broken(
        file,
        ("DELETE FROM vectors_1 WHERE chunk <= 2",),
        ("UPDATE vectors_1 SET vector = x'00' WHERE chunk = 3",),
        (
            "UPDATE vectors_1 SET vector = ? WHERE chunk = 4",
            np.full(DIMENSIONS, np.nan, "<f2").tobytes(),
        ),
        ("UPDATE vectors_1 SET vector = zeroblob(?) WHERE chunk = 5", 2 * DIMENSIONS),
    ) == [
        "2 passages have no vector in space 1 (tiny), so search cannot find them.",
        "1 vectors in space 1 (tiny) are not 16 values long.",
        "2 vectors in space 1 (tiny) are NaN, infinite or all zero.",
    ]


def test_every_space_is_looked_at_in_batches(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(check, "BATCH", 7)
    with closing(SqliteStore.open(file)) as store:
        number = store.spaces.add(SPACE, "light", "").number
        ids = np.array([found.id for found in store.spaces.missing(number, 0, 999)])
        store.spaces.fill(number, ids[:100], np.array([signs(int(n)) for n in ids[:100]]))
        assert store.check() == []
    (fault,) = broken(
        file, (f"UPDATE vectors_{number} SET vector = zeroblob(32) WHERE chunk > 90",)
    )
    assert fault.startswith("10 vectors in space 2")


def test_a_lexical_index_that_lacks_rows_is_named(file: Path):
    (lost,) = broken(file, ("DELETE FROM lexical_docsize WHERE id = 5",))
    assert lost.startswith("1 passages are not in the lexical index")
    extra = broken(file, ("INSERT INTO lexical_docsize VALUES (9999, x'00')",))
    assert len(extra) == 2
    assert "gone" in extra[1]


def test_a_lexical_index_with_other_words_is_named(file: Path, monkeypatch: pytest.MonkeyPatch):
    (fault,) = broken(file, ("UPDATE chunks SET text = 'omega' WHERE id = 5",))
    assert fault.startswith("The lexical index does not agree")
    with closing(SqliteStore.open(file)) as store, store.snapshot():
        assert store.check() == []  # such a comparison writes
    monkeypatch.setattr(database, "BUSY_S", 0.01)
    with closing(SqliteStore.open(file)) as store, closing(sqlite3.connect(file)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert store.check() == []
    monkeypatch.setattr(check, "DEEP_CHUNKS", 10)
    with closing(SqliteStore.open(file)) as store:
        assert store.check() == []


def segment(ids: np.ndarray, codes: bytes) -> tuple[object, ...]:
    statement = "INSERT INTO code_segments VALUES (1, ?, ?, ?, ?)"
    return statement, int(ids[0]), int(ids[-1]), ids.astype("<i8").tobytes(), codes


def test_segments_are_compared_with_the_tables(file: Path):
    with closing(SqliteStore.open(file)) as store:
        stored = store.spaces.vectors(1, np.arange(1, 121)).astype(np.float16)
    ids = np.arange(3, 103)
    right = encode(stored[2:102]).tobytes()
    assert broken(file, segment(ids, right)) == []
    with closing(SqliteStore.open(file)) as store:
        store.delete(["d4"])
        assert store.check() == []  # a removed row may stay, and is known to be removed
    for wrong in (
        segment(ids, bytes(len(right))),
        segment(ids, right[:-8]),
        segment(ids[::-1], right),
        segment(np.delete(ids, 50), right[:-8]),
        segment(np.append(ids[:-1], 500), right),
    ):
        faults = broken(file, ("DELETE FROM code_segments",), wrong)
        assert len(faults) == 1
        assert faults[0].startswith("The compact codes of passages")
    lost = broken(
        file,
        ("DELETE FROM code_segments",),
        segment(ids, right),
        ("DELETE FROM removed_vectors",),
    )
    assert len(lost) == 1
