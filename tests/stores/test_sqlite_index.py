"""The indexes of a file: codes in segments, tables of sqlite-vec, all in memory."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import DIMENSIONS, SETTINGS, item, signs

from embedwell.core.errors import StoreError
from embedwell.core.vectors import IntArray
from embedwell.stores.protocol import Filter
from embedwell.stores.scan.fastscan import fastest
from embedwell.stores.sqlite import SqliteStore, segments, vec_index, vectors
from embedwell.stores.sqlite.allowed import KEPT, ids_in, literal_prefix

ALL = Filter()
BLOCK = 64
CODES = f"codes ({fastest().name})"

needs_extensions = pytest.mark.skipif(
    not hasattr(sqlite3.Connection, "enable_load_extension"),
    reason="this Python's sqlite3 loads no extensions",
)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of few rows, and codes from the first row on."""
    monkeypatch.setattr(segments, "BLOCK", BLOCK)
    monkeypatch.setattr(segments, "BATCH", 10)
    monkeypatch.setattr(vectors, "EXACT_ROWS", 0)
    monkeypatch.setattr(vec_index, "STEP", 50)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "index.db"


@pytest.fixture
def codes(small_blocks: None, file: Path) -> Iterator[SqliteStore]:
    made = SqliteStore.create(file, SETTINGS, index="codes")
    yield made
    made.close()


def put(store: SqliteStore, *keys: int, n: int = 10, **more: str) -> None:
    """One document of n chunks for each key; the vectors follow from the keys."""
    store.put(
        [
            item(
                f"{key}.md",
                [f"{key} {at}" for at in range(n)],
                [signs(100 * key + at) for at in range(n)],
                **more,  # type: ignore[arg-type]
            )
            for key in keys
        ]
    )


def found(store: SqliteStore, number: int, k: int = 3, where: Filter = ALL) -> list[str]:
    ids = store.nearest(signs(number), k, where).ids.tolist()
    return [chunk.chunk.text for chunk in store.chunks(ids)]


def spans(store: SqliteStore) -> list[tuple[int, int]]:
    return store._database.rows("SELECT first, last FROM code_segments ORDER BY first")


def agrees_with_all_rows(store: SqliteStore, file: Path) -> bool:
    """Whether each of some questions is answered as by a store that holds all values."""
    exact = SqliteStore.open(file, read_only=True, index="exact")
    try:
        answers = [
            [(one.ids.tolist(), one.scores.tolist()) for one in (x.nearest(signs(n), 7, ALL),)]
            for x in (store, exact)
            for n in range(0, 900, 37)
        ]
    finally:
        exact.close()
    half = len(answers) // 2
    return answers[:half] == answers[half:]


def test_full_segments_are_written_with_the_vectors(codes: SqliteStore, file: Path):
    put(codes, *range(6))
    assert spans(codes) == []
    put(codes, 6)
    assert spans(codes) == [(1, BLOCK)]
    put(codes, *range(7, 20))
    assert [last - first + 1 for first, last in spans(codes)] == [BLOCK] * 3
    assert agrees_with_all_rows(codes, file)


def test_a_new_reader_loads_segments_and_what_came_after_them(codes: SqliteStore, file: Path):
    put(codes, *range(8))
    codes.delete(["2.md"])
    reader = SqliteStore.open(file, read_only=True)
    assert found(reader, 705, 1) == ["7 5"]
    assert "2 3" not in found(reader, 203)
    reader.close()


def test_readers_follow_what_others_add_and_remove(codes: SqliteStore, file: Path):
    put(codes, *range(8))
    reader = SqliteStore.open(file, read_only=True)
    assert found(reader, 304, 1) == ["3 4"]
    codes.delete(["3.md"])
    put(codes, *range(10, 18))
    assert "3 4" not in found(reader, 304)
    assert found(reader, 1704, 1) == ["17 4"]
    put(codes, 10)  # replaced: its chunks have other ids
    assert found(reader, 1004, 1) == ["10 4"]
    assert agrees_with_all_rows(reader, file)
    reader.close()


def test_many_removals_have_the_segments_written_anew(codes: SqliteStore, file: Path):
    put(codes, *range(20))
    reader = SqliteStore.open(file, read_only=True)
    assert found(reader, 1904, 1) == ["19 4"]
    before = spans(codes)
    codes.delete([f"{key}.md" for key in range(12)])
    assert spans(codes) != before
    assert codes._database.value("SELECT count(*) FROM removed_vectors") == 0
    assert codes._database.value("SELECT generation FROM spaces") == 1
    assert agrees_with_all_rows(reader, file)
    assert codes.check() == []
    reader.close()


def test_compacting_takes_removed_rows_out_of_segments(codes: SqliteStore, file: Path):
    put(codes, *range(14))
    codes.delete(["0.md", "5.md"])
    codes.compact()
    first, _ = spans(codes)[0]
    assert first == 11
    assert agrees_with_all_rows(codes, file)
    assert codes.check() == []


def test_segments_of_an_older_file_are_written_at_first_use(codes: SqliteStore, file: Path):
    put(codes, *range(14))
    codes._database.rows("DELETE FROM code_segments")
    codes.close()
    reader = SqliteStore.open(file, read_only=True)
    reader.warm()
    assert found(reader, 504, 1) == ["5 4"]
    assert spans(reader) == []
    reader.close()
    writer = SqliteStore.open(file)
    with writer.snapshot():
        writer.warm()
        assert spans(writer) == []
    writer.warm()
    assert len(spans(writer)) == 2
    writer.close()


def test_a_search_goes_on_where_segments_cannot_be_written_now(codes: SqliteStore, file: Path):
    put(codes, *range(14))
    codes._database.rows("DELETE FROM code_segments")
    other = SqliteStore.open(file)
    other._database.rows("PRAGMA busy_timeout = 1")
    with codes._database.transaction():
        other.warm()
        assert found(other, 504, 1) == ["5 4"]
    other.close()


def test_a_failed_transaction_leaves_no_trace_in_the_index(codes: SqliteStore, file: Path):
    put(codes, *range(4))
    found(codes, 1)
    broken = item("x", ["a"], [signs(7)], metadata={"bad": float("nan")})
    with pytest.raises(StoreError):
        codes.put([item("y", ["b"], [signs(7)]), broken])
    assert agrees_with_all_rows(codes, file)


def test_vectors_of_a_wrong_length_are_named_as_damage(codes: SqliteStore):
    put(codes, 1)
    codes._database.rows("UPDATE vectors_1 SET vector = x'0000' WHERE chunk = 3")
    with pytest.raises(StoreError, match="damaged"):
        found(codes, 1)


def test_few_rows_are_held_whole_and_more_as_codes(
    small_blocks: None, file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(vectors, "EXACT_ROWS", 25)
    store = SqliteStore.create(file, SETTINGS)
    put(store, 1, 2)
    assert found(store, 205, 1) == ["2 5"]
    put(store, 3, 4, 5)
    assert found(store, 505, 1) == ["5 5"]
    assert agrees_with_all_rows(store, file)
    store.close()


def test_an_index_is_named_after_what_it_is(file: Path):
    SqliteStore.create(file, SETTINGS).close()
    for asked, kind in (("auto", CODES), ("codes", CODES), ("exact", "exact")):
        store = SqliteStore.open(file, index=asked)
        assert store.index_kind == kind
        store.close()


# sqlite-vec


@pytest.fixture
def vec(small_blocks: None, file: Path) -> Iterator[SqliteStore]:
    made = SqliteStore.create(file, SETTINGS, index="sqlite-vec")
    yield made
    made.close()


def rows_in_vec(store: SqliteStore) -> int:
    n: int = store._database.value("SELECT count(*) FROM vec_1_rowids")
    return n


def is_behind(store: SqliteStore) -> bool:
    with store.snapshot():
        return vec_index.is_behind(store._database, 1)


@needs_extensions
def test_the_extension_s_table_is_written_with_the_vectors(vec: SqliteStore, file: Path):
    assert vec.index_kind.startswith("sqlite-vec v0.")
    put(vec, 1, 2, kind="code", language="python")
    put(vec, 3)
    assert rows_in_vec(vec) == 30
    vec.delete(["2.md"])
    assert rows_in_vec(vec) == 20
    assert not is_behind(vec)
    assert agrees_with_all_rows(vec, file)
    kinds = vec._database.rows("SELECT DISTINCT kind, language FROM vec_1 ORDER BY 1")
    assert kinds == [("code", "python"), ("text", "markdown")]


@needs_extensions
def test_the_table_catches_up_with_processes_that_have_no_extension(vec: SqliteStore, file: Path):
    put(vec, *range(3))
    plain = SqliteStore.open(file)
    put(plain, *range(3, 20))
    plain.delete(["1.md"])
    assert is_behind(vec)
    assert found(vec, 1904, 1) == ["19 4"]  # answered from memory meanwhile
    assert "1 4" not in found(vec, 104)
    vec.warm()
    assert not is_behind(vec)
    assert rows_in_vec(vec) == 190
    plain.delete([f"{key}.md" for key in range(4, 12)])
    plain.compact()
    vec.warm()
    assert rows_in_vec(vec) == 110
    assert agrees_with_all_rows(vec, file)
    assert vec.check() == plain.check() == []
    plain.close()


@needs_extensions
def test_a_reader_that_cannot_write_answers_from_memory_while_the_table_is_behind(
    codes: SqliteStore, file: Path
):
    put(codes, *range(5))
    reader = SqliteStore.open(file, read_only=True, index="sqlite-vec")
    reader.warm()
    assert found(reader, 304, 1) == ["3 4"]
    reader.close()


@needs_extensions
def test_filters_and_any_number_of_results_are_exact(vec: SqliteStore, monkeypatch):
    monkeypatch.setattr(vec_index, "MOST_K", 40)
    put(vec, *range(6))
    only = Filter(path="3.md")
    assert set(found(vec, 1, 20, only)) == {f"3 {at}" for at in range(10)}
    assert len(found(vec, 1, 35)) == 35  # more than the extension gives
    store_all = vec.nearest(signs(1), 60, ALL)
    assert (np.diff(store_all.scores) <= 0).all()


@needs_extensions
def test_ties_come_by_id_however_many_there_are(vec: SqliteStore):
    vec.put([item("same", [str(n) for n in range(60)], [signs(1)] * 60)])
    assert found(vec, 1, 3) == ["0", "1", "2"]


@needs_extensions
def test_tables_of_spaces_that_are_gone_are_dropped(vec: SqliteStore, file: Path):
    put(vec, 1)
    plain = SqliteStore.open(file)
    added = plain.spaces.add(SETTINGS.space, "next", "test")
    ids = plain.nearest(signs(1), 20, ALL).ids
    plain.spaces.fill(added.number, np.sort(ids), np.array([signs(int(n)) for n in np.sort(ids)]))
    plain.spaces.switch(added.number, keep=False)
    plain.close()
    vec.warm()
    names = {name for (name,) in vec._database.rows("SELECT name FROM sqlite_schema")}
    assert "vec_2" in names
    assert "vec_1" not in names


@pytest.mark.parametrize("lacking", ["package", "loading", "library"])
def test_what_is_missing_is_announced_once_and_codes_are_used(
    lacking: str, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    if lacking == "package":
        monkeypatch.setitem(sys.modules, "sqlite_vec", None)
    else:
        name = "Database.load_extension"
        reason = "this Python's sqlite3 was built without" if lacking == "loading" else "no such"

        def refuse(self: object, path: str) -> None:
            raise StoreError(f"{reason} {path}", "")

        monkeypatch.setattr(f"embedwell.stores.sqlite.database.{name}", refuse)
    vectors._say_missing.cache_clear()
    with caplog.at_level(logging.WARNING, "embedwell"):
        SqliteStore.create(file, SETTINGS, index="sqlite-vec").close()
        store = SqliteStore.open(file, index="sqlite-vec")
    assert store.index_kind.startswith(f"{CODES}, as sqlite-vec is not there: ")
    put(store, 1)
    assert found(store, 104, 1) == ["1 4"]
    assert len(caplog.records) == 1
    store.close()


@needs_extensions
def test_a_library_that_is_none_is_not_loaded(sqlite_store: SqliteStore):
    with pytest.raises(StoreError):
        sqlite_store._database.load_extension("no/such/library")


# Filters


def test_the_ids_of_a_filter_are_read_once_while_nothing_changes(codes: SqliteStore):
    put(codes, 1, 2)
    statements: list[str] = []
    codes._database._connection.set_trace_callback(statements.append)
    where = [Filter(path=f"{n}.md") for n in range(KEPT + 1)]
    for one in (where[1], where[1], *where, where[1]):
        codes._allowed.ids(one)
    codes._database._connection.set_trace_callback(None)
    assert sum("path_matches" in one for one in statements) == KEPT + 1
    put(codes, 3)
    assert codes._allowed.ids(Filter(path="3.md")) is not None
    assert found(codes, 304, 1, Filter(path="3.md")) == ["3 4"]


def test_documents_without_chunks_let_nothing_through(codes: SqliteStore):
    codes.put([item("empty", [])])
    assert codes._allowed.ids(Filter(path="empty")).tolist() == []  # type: ignore[union-attr]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=8))
def test_spans_become_the_ids_in_them(gaps: list[tuple[int, int]]):
    spans, ids, last = [], [], 0
    for gap, length in gaps:
        first = last + gap
        last = first + length - 1
        spans.append((first, last))
        ids += range(first, last + 1)
    given_spans: IntArray = np.array(spans, np.int64).reshape(-1, 2)
    assert ids_in(given_spans).tolist() == ids


@pytest.mark.parametrize(
    ("glob", "prefix"),
    [
        ("*.md", ""),
        ("name.md", ""),
        ("src/**", "src/"),
        ("./src/a?.py", "src/a"),
        ("/src/[ab].py", "src/"),
        ("src/a.py", "src/a.py"),
        ("**/x", ""),
    ],
)
def test_a_glob_begins_with_what_all_its_keys_begin_with(glob: str, prefix: str):
    assert literal_prefix(glob) == prefix


def test_dimensions_need_not_fill_words():
    assert DIMENSIONS % 64 != 0  # what all tests here show


# The file


@pytest.mark.skipif(sys.platform == "win32", reason="locks belong to handles there")
def test_opening_a_file_again_leaves_the_locks_of_this_process_alone(
    codes: SqliteStore, file: Path
):
    put(codes, 1)
    SqliteStore.open(file).close()
    script = (
        "import sqlite3, sys; other = sqlite3.connect(sys.argv[1]); "
        "other.execute('SELECT 1 FROM documents').fetchall(); other.close()"
    )
    subprocess.run([sys.executable, "-c", script, str(file)], check=True)
    # Else the other one has taken itself for the last, and the log away.
    assert file.with_name(f"{file.name}-wal").exists()
    put(codes, 2)
    assert found(codes, 204, 1) == ["2 4"]
