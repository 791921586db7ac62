"""The file: what it refuses, what it survives, and what it says."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from store_samples import DIMENSIONS, SETTINGS, SPACE, item, signs, wide

from embedwell.core.errors import (
    ForeignStoreError,
    NewerStoreError,
    SpaceMovedError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreNotFoundError,
    StoreReadOnlyError,
)
from embedwell.stores.protocol import CollectionSettings, Filter
from embedwell.stores.sqlite import SqliteStore, database, faults, schema
from kills import killed

NOBODY = 65534
WIDE = replace(SPACE, model="wide", dimensions=24)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A closed index with one document."""
    path = tmp_path / "index.db"
    _make(path)
    return path


def _make(path: Path) -> None:
    with closing(SqliteStore.create(path, SETTINGS)) as store:
        store.put([item("a", ["alpha"])])


def _searchable(store: SqliteStore) -> bool:
    return (
        len(store.nearest(signs(1), 9, Filter()).ids) == 1
        and len(store.matching("alpha", 9, Filter()).ids) == 1
        and store.check() == []
    )


def test_create_makes_folders_and_one_file(tmp_path: Path):
    path = tmp_path / "deep" / "er" / "index.db"
    _make(path)
    assert {file.name for file in path.parent.iterdir()} == {"index.db", "index.db.lock"}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (0x656D6277,)
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA page_size").fetchone() == (8192,)


def test_create_never_replaces_a_file(file: Path):
    before = file.read_bytes()
    with pytest.raises(StoreError, match="already"):
        SqliteStore.create(file, SETTINGS)
    assert file.read_bytes() == before


def test_a_draft_left_by_a_killed_process_is_no_obstacle(tmp_path: Path):
    (tmp_path / "index.db.0123abcd.new").write_bytes(b"half")
    _make(tmp_path / "index.db")


def test_odd_file_names_work(tmp_path: Path):
    path = tmp_path / "an index?mode=ro#%20é.db"
    _make(path)
    with closing(SqliteStore.open(path)) as store:
        assert _searchable(store)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(StoreNotFoundError, match=r"nothing\.db.*embedwell index"):
        SqliteStore.open(tmp_path / "nothing.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 500, b"SQLite format 3\0"])
def test_what_is_no_database_is_refused_untouched(tmp_path: Path, content):
    path = tmp_path / "index.db"
    path.write_bytes(content)
    with pytest.raises(ForeignStoreError):
        SqliteStore.open(path)
    assert path.read_bytes() == content


def test_a_folder_is_no_index(tmp_path: Path):
    with pytest.raises(ForeignStoreError):
        SqliteStore.open(tmp_path)


def test_another_programs_database_is_refused_untouched(tmp_path: Path):
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE documents (id)")
    before = path.read_bytes()
    with pytest.raises(ForeignStoreError, match=r"theirs\.db"):
        SqliteStore.open(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(file: Path):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    with pytest.raises(NewerStoreError, match=f"schema {schema.VERSION + 1}"):
        SqliteStore.open(file)


@pytest.mark.parametrize("table", ["vectors_1", "lexical", "spaces"])
def test_a_file_without_our_tables_is_damaged(file: Path, table):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"DROP TABLE {table}")
    with pytest.raises(StoreError, match=f"damaged.*{table}"):
        SqliteStore.open(file)


def test_a_file_without_its_collection_is_damaged(file: Path):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DELETE FROM collections")
        connection.commit()
    with pytest.raises(StoreError, match=r"damaged.*default"):
        SqliteStore.open(file)


def test_a_file_without_a_main_space_is_damaged(file: Path):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE spaces SET role = 'kept'")
        connection.commit()
    with closing(SqliteStore.open(file)) as store, pytest.raises(StoreError, match="main space"):
        store.settings  # noqa: B018


def test_a_cut_file_is_damaged_with_a_remedy(file: Path):
    file.write_bytes(file.read_bytes()[: 3 * 8192])
    with pytest.raises(StoreError, match="index again"):
        SqliteStore.open(file)


def test_overwritten_pages_are_found_by_check_or_named(file: Path):
    content = bytearray(file.read_bytes())
    content[8192:] = bytes(len(content) - 8192)
    file.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"), closing(SqliteStore.open(file)) as store:
        raise StoreError(f"damaged: {store.check()}", "") if store.check() else AssertionError


def test_check_counts_orphans(file: Path):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DELETE FROM chunks")
        connection.commit()
    with closing(SqliteStore.open(file)) as store:
        assert any("1 rows of vectors_1 belong" in fault for fault in store.check())


def test_another_programs_transaction_is_waited_for_then_named(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    with closing(SqliteStore.open(file)) as store, closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError, match="Another process"):
            store.put([item("b", ["beta"])])
        assert _searchable(store)
        other.execute("ROLLBACK")
        store.put([item("b", ["beta"])])


def test_two_jobs_at_once_end_with_the_second_told_who_holds_the_index(file: Path):
    with closing(SqliteStore.open(file)) as one, closing(SqliteStore.open(file)) as two:
        with (
            one.writing(),
            pytest.raises(StoreBusyError, match=f"process {os.getpid()}"),
            two.writing(),
        ):
            pass
        with two.writing():
            two.put([item("b", ["beta"])])


def test_errors_of_the_job_itself_pass_through_the_lock(file: Path):
    with closing(SqliteStore.open(file)) as store:
        with pytest.raises(FileNotFoundError), store.writing():
            raise FileNotFoundError("a file of the job")
        with store.writing():
            pass


def test_a_full_disk_keeps_what_was_stored(sqlite_store: SqliteStore):
    sqlite_store.put([item("a", ["alpha"])])
    pages = sqlite_store._database.value("PRAGMA page_count")
    sqlite_store._database.rows(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreFullError, match="Free some space"):
        sqlite_store.put([item(f"b{n}", ["beta " * 9000]) for n in range(9)])
    assert _searchable(sqlite_store)
    assert set(sqlite_store.stats()) == {"a"}
    sqlite_store._database.rows("PRAGMA max_page_count = 100000")
    sqlite_store.put([item("b", ["beta " * 9000])])
    assert set(sqlite_store.stats()) == {"a", "b"}


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "tiny"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _fill(store: SqliteStore, stored: list[str]) -> None:
    while True:
        key = f"{len(stored)}"
        store.put([item(key, [f"alpha{key} " * 2000])])
        stored.append(key)


def test_a_disk_really_full_loses_nothing_and_can_still_be_read(tiny_disk: Path):
    path = tiny_disk / "index.db"
    store = SqliteStore.create(path, SETTINGS)
    stored: list[str] = []
    with pytest.raises(StoreFullError):
        _fill(store, stored)
    assert stored
    assert set(store.stats()) == set(stored)
    store.close()
    with pytest.raises(StoreFullError):
        SqliteStore.create(tiny_disk / "second.db", SETTINGS)
    with closing(SqliteStore.open(path)) as again:
        assert set(again.stats()) == set(stored)
        assert again.check() == []
        assert len(again.matching("alpha0", 9, Filter()).ids) == 1


@contextmanager
def unprivileged() -> Iterator[None]:
    """Permissions do not bind the superuser: act as somebody else for a moment."""
    if not hasattr(os, "geteuid"):
        pytest.skip("permissions work differently here")
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that others may read, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def test_an_index_in_a_read_only_folder_is_searched_and_not_written(shared_folder: Path):
    path = shared_folder / "index.db"
    _make(path)
    path.chmod(0o444)
    shared_folder.chmod(0o555)
    with unprivileged(), closing(SqliteStore.open(path)) as store:
        assert _searchable(store)
        for write in (lambda: store.put([item("b", ["beta"])]), lambda: store.delete(["a"])):
            with pytest.raises(StoreReadOnlyError, match="permissions"):
                write()
        with pytest.raises(StoreReadOnlyError), store.writing():
            pass
    assert {file.name for file in shared_folder.iterdir()} == {"index.db", "index.db.lock"}


def test_a_log_that_cannot_be_read_back_is_said(shared_folder: Path):
    path = shared_folder / "index.db"
    with closing(SqliteStore.create(path, SETTINGS)) as writer:
        writer.put([item("a", ["alpha"])])
        log = path.with_name("index.db-wal").read_bytes()
    path.with_name("index.db-wal").write_bytes(log)
    shared_folder.chmod(0o555)
    with unprivileged(), pytest.raises(StoreReadOnlyError, match=r"waiting in index\.db-wal"):
        SqliteStore.open(path)


def test_a_read_only_folder_takes_no_new_index(shared_folder: Path):
    shared_folder.chmod(0o555)
    with unprivileged(), pytest.raises(StoreReadOnlyError):
        SqliteStore.create(shared_folder / "index.db", SETTINGS)
    with unprivileged(), pytest.raises(StoreReadOnlyError):
        SqliteStore.create(shared_folder / "sub" / "index.db", SETTINGS)


def test_an_unreadable_file_is_said(shared_folder: Path):
    path = shared_folder / "index.db"
    _make(path)
    path.chmod(0)
    with unprivileged(), pytest.raises(StoreReadOnlyError):
        SqliteStore.open(path)


def test_opened_for_reading_nothing_is_written(file: Path):
    with closing(SqliteStore.open(file, read_only=True)) as store:
        assert _searchable(store)
        with pytest.raises(StoreReadOnlyError):
            store.touch({})


def test_writes_of_another_connection_are_seen(file: Path):
    with closing(SqliteStore.open(file)) as one, closing(SqliteStore.open(file)) as two:
        assert len(one.nearest(signs(1), 9, Filter()).ids) == 1
        two.put([item("b", ["beta alpha"])])
        assert len(one.nearest(signs(1), 9, Filter()).ids) == 2
        assert len(one.matching("alpha", 9, Filter()).ids) == 2
        two.delete(["a"])
        assert len(one.nearest(signs(1), 9, Filter()).ids) == 1
        assert len(one.matching("alpha", 9, Filter()).ids) == 1


def test_another_connections_switch_and_settings_are_followed(file: Path):
    with closing(SqliteStore.open(file)) as one, closing(SqliteStore.open(file)) as two:
        assert one.settings == SETTINGS
        number = two.spaces.add(WIDE, "next", "two").number
        two.spaces.fill(number, np.array([1]), wide(1)[None])
        with one.snapshot():
            assert one.settings == SETTINGS
            two.spaces.switch(number, keep=False)
            two.set_chunk_tokens(7)
            assert one.settings == SETTINGS
            assert len(one.nearest(signs(1), 9, Filter()).ids) == 1
        assert one.settings == CollectionSettings(WIDE, 7, "two")
        assert len(one.nearest(wide(1), 9, Filter()).ids) == 1
        with pytest.raises(SpaceMovedError):
            one.nearest(signs(1), 9, Filter(), space=1)


def test_what_is_known_of_spaces_is_forgotten_when_a_write_is_undone(file: Path):
    with closing(SqliteStore.open(file)) as store:
        number = store.spaces.add(WIDE, "next", "").number
        before = store.spaces.all()
        seen = []

        def change_and_fail() -> None:
            with store._database.transaction():
                store.spaces._set_role(number, "kept", "kept")
                seen.extend(store.spaces.all())
                raise KeyError

        with pytest.raises(KeyError):
            change_and_fail()
        assert seen != before
        assert store.spaces.all() == before


def test_a_snapshot_does_not_see_later_writes(file: Path):
    with closing(SqliteStore.open(file)) as one, closing(SqliteStore.open(file)) as two:
        with one.snapshot():
            found = one.matching("alpha", 9, Filter())
            two.delete(["a"])
            assert len(one.chunks(found.ids.tolist())) == 1
            assert len(one.nearest(signs(1), 9, Filter()).ids) == 1
            with pytest.raises(StoreError):
                one.put([item("b", ["beta"])])
        assert len(one.nearest(signs(1), 9, Filter()).ids) == 0


@pytest.mark.parametrize("key", ["bad\udcff.md", "good"])
def test_lone_surrogates_are_refused_and_nothing_is_kept(sqlite_store: SqliteStore, key):
    text = "alpha" if key != "good" else "alpha \ud800"
    with pytest.raises(StoreError, match="surrogates"):
        sqlite_store.put([item("first", ["x"]), item(key, [text])])
    assert sqlite_store.counts().documents == 0


def test_a_closed_store_says_so(tmp_path: Path):
    store = SqliteStore.create(tmp_path / "index.db", SETTINGS)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.stats()


def test_other_faults_of_the_system_are_passed_on_with_the_file(tmp_path: Path):
    error = faults.file_error(OSError(5, "Input/output error"), tmp_path / "index.db")
    assert type(error) is StoreError
    assert "index.db" in error.problem
    assert isinstance(faults.file_error(OSError(28, "No space"), tmp_path), StoreFullError)
    sort = sqlite3.OperationalError("shm")
    sort.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    assert isinstance(faults.database_error(sort, tmp_path), StoreFullError)


WRITER = """
from pathlib import Path
from store_samples import item
from embedwell.stores.sqlite import SqliteStore
store = SqliteStore.open(Path(sys.argv[1]))
print("ready", flush=True)
with store.writing():
    for batch in range(100_000):
        store.put([item(f"{batch}-{n}", [f"alpha{n}", "beta"]) for n in range(20)])
        print(batch, flush=True)
"""


def test_a_killed_writer_leaves_every_acknowledged_batch_and_no_lock(tmp_path: Path):
    path = tmp_path / "index.db"
    SqliteStore.create(path, SETTINGS).close()
    for after_s in (0.003, 0.033, 0.059):
        acknowledged = killed(WRITER, [path], after_s)
        with closing(SqliteStore.open(path)) as store, store.writing():
            batches = {key.partition("-")[0] for key in store.stats()}
            assert len(batches) * 20 == store.counts().documents
            assert set(acknowledged) <= batches
            assert store.check() == []
            assert len(store.nearest(signs(1), 10**6, Filter()).ids) == store.counts().chunks
            assert len(store.matching("beta", 10**6, Filter()).ids) == len(batches) * 20
            store.delete(list(store.stats()))


def test_vectors_are_kept_as_float16(file: Path):
    with closing(sqlite3.connect(file)) as connection:
        (blob,) = connection.execute("SELECT vector FROM vectors_1").fetchone()
    assert len(blob) == 2 * DIMENSIONS
