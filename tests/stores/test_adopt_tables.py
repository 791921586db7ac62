"""Vectors in an application's own file: found where they are, under its own writes."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from adopted_samples import DIMENSIONS, ENCODERS, SUMMARIES, add, connect, make, unit
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from embedwell.core.errors import (
    BadVectorError,
    ForeignStoreError,
    SpaceMismatchError,
    StoreBusyError,
    StoreError,
    StoreNotFoundError,
    StoreReadOnlyError,
)
from embedwell.stores.foreign import file as foreign_file
from embedwell.stores.foreign import plain, vectors
from embedwell.stores.foreign.forms import JSON, form_of, rows_of, unit_rows
from embedwell.stores.foreign.tables import Place, TextPlace
from embedwell.stores.foreign.vectors import ForeignVectors

ENTRIES = TextPlace("content", "entries", "id")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def application(file: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(make(file))
    yield connection
    connection.close()


@pytest.fixture
def adopted(application: sqlite3.Connection, file: Path) -> Iterator[ForeignVectors]:
    opened = ForeignVectors(file, SUMMARIES, DIMENSIONS)
    yield opened
    opened.close()


def nearest(adopted: ForeignVectors, number: int, k: int = 1) -> list[str]:
    return [one.id for one in adopted.nearest(unit(number), k)]


@pytest.mark.parametrize("form", ENCODERS)
@pytest.mark.parametrize("exact_rows", [0, 1000])
def test_vectors_are_found_in_every_form(form: str, exact_rows: int, file: Path):
    adopted = ForeignVectors(make(file, form=form), SUMMARIES, DIMENSIONS, exact_rows)
    assert adopted.form == form
    (best, second) = adopted.nearest(unit(7), 2)
    assert best.id == "e7"
    assert best.score == pytest.approx(1, abs=1e-3 if form == "float16" else 1e-6)
    assert second.score < best.score
    assert len(adopted) == 20  # the summaries only
    adopted.close()


def test_scores_are_those_of_the_values_as_they_are_stored(adopted: ForeignVectors):
    found = adopted.nearest(unit(99), 20)
    exact = sorted((float(unit(n) @ unit(99)) for n in range(20)), reverse=True)
    np.testing.assert_allclose([one.score for one in found], exact, atol=2e-6)


def test_what_the_application_writes_is_found_by_the_next_search(
    adopted: ForeignVectors, application: sqlite3.Connection
):
    assert nearest(adopted, 50) != ["e50"]
    add(application, 50)
    assert nearest(adopted, 50) == ["e50"]
    application.execute("DELETE FROM embeddings WHERE entry_id = 'e50'")
    assert nearest(adopted, 50) != ["e50"]


def test_a_vector_changed_in_place_is_found_by_its_new_value(
    adopted: ForeignVectors, application: sqlite3.Connection
):
    assert nearest(adopted, 3) == ["e3"]
    application.execute(
        "UPDATE embeddings SET embedding = ? WHERE entry_id = 'e3' AND embedding_type = 'summary'",
        (unit(70).tobytes(),),
    )
    assert nearest(adopted, 70) == ["e3"]
    application.execute("DELETE FROM embeddings WHERE entry_id = 'e3' AND embedding_type = 'full'")
    application.execute("UPDATE embeddings SET embedding_type = 'full' WHERE entry_id = 'e3'")
    assert nearest(adopted, 70) != ["e3"]


def test_nothing_is_read_anew_while_nothing_changed(
    adopted: ForeignVectors, monkeypatch: pytest.MonkeyPatch
):
    nearest(adopted, 1)
    monkeypatch.setattr(adopted._source, "marks", lambda: pytest.fail("read anew"))
    assert nearest(adopted, 2) == ["e2"]


def test_row_numbers_may_come_in_any_order(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plain, "SLICE", 3)
    monkeypatch.setattr(vectors, "BATCH", 4)
    application = connect(file)
    application.execute("CREATE TABLE v (id INTEGER PRIMARY KEY, e BLOB)")
    adopted = ForeignVectors(file, Place("v", "id", "e"), DIMENSIONS, 5)
    assert adopted.nearest(unit(1), 3) == []
    assert adopted.form == ""
    for number in (9, -4, 100, 0, 7, 50, 3, 2**40):
        application.execute("INSERT INTO v VALUES (?, ?)", (number, unit(number % 99).tobytes()))
        assert [one.id for one in adopted.nearest(unit(number % 99), 1)] == [number]
    assert adopted.form == "float32"
    adopted.close()
    application.close()


def test_numbers_of_rows_that_are_gone_are_given_up_in_time(
    adopted: ForeignVectors, application: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(vectors, "_SPARE_NUMBERS", 5)
    for at in range(60):
        add(application, at % 20)
        assert nearest(adopted, at % 20) == [f"e{at % 20}"]
    assert len(adopted._row_of) <= 2 * 20 + 5 + 20


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from(["put", "delete", "break", "search"])),
        max_size=25,
    )
)
def test_any_order_of_writes_is_followed(tmp_path_factory: pytest.TempPathFactory, steps):
    file = tmp_path_factory.mktemp("steps") / "app.db"
    application = connect(make(file, 1))
    adopted = ForeignVectors(file, SUMMARIES, DIMENSIONS, 4)
    there = {0}
    for number, step in [*steps, (0, "search")]:
        if step == "put":
            add(application, number)
            there.add(number)
        elif step == "delete":
            application.execute("DELETE FROM embeddings WHERE entry_id = ?", (f"e{number}",))
            there.discard(number)
        elif step == "break":
            add(application, number)
            application.execute(
                "UPDATE embeddings SET embedding = x'00' WHERE entry_id = ?", (f"e{number}",)
            )
            there.discard(number)
        else:
            found = adopted.nearest(unit(5), 20)
            assert {one.id for one in found} == {f"e{n}" for n in there}
    adopted.close()
    application.close()


def test_rows_that_cannot_be_used_are_skipped_and_counted(
    adopted: ForeignVectors, application: sqlite3.Connection
):
    bad = [None, b"", b"\0" * 32, unit(1).tobytes()[:-1], np.full(8, np.nan, "<f4").tobytes(), "x"]
    for number, value in enumerate(bad):
        application.execute(
            "INSERT INTO embeddings VALUES (?, 'summary', ?)", (f"bad{number}", value)
        )
    assert len(adopted.nearest(unit(1), 100)) == 20
    assert adopted.skipped == len(bad)
    application.execute(
        "UPDATE embeddings SET embedding = ? WHERE entry_id = 'bad1'", (unit(77).tobytes(),)
    )
    assert nearest(adopted, 77) == ["bad1"]
    assert adopted.skipped == len(bad) - 1


def test_an_unusable_question_is_refused(adopted: ForeignVectors):
    with pytest.raises(BadVectorError):
        adopted.nearest(np.full(DIMENSIONS, np.nan, np.float32), 1)
    with pytest.raises(BadVectorError):
        adopted.nearest(np.ones(DIMENSIONS + 1, np.float32), 1)


# The application and its file


def test_another_process_may_write_all_the_time(file: Path):
    make(file, 0, wal=False)
    script = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path; from adopted_samples import add, connect\n"
        "application = connect(Path(sys.argv[1]))\n"
        "for number in range(150): add(application, number)\n"
        "print(application.total_changes)"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(file), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
    )
    adopted = ForeignVectors(file, SUMMARIES, DIMENSIONS, 30)
    seen = 0
    while writer.poll() is None:
        n = len(adopted.nearest(unit(1), 1000))
        assert n >= seen
        seen = n
    assert writer.communicate()[0].strip() == "450"
    assert {one.id for one in adopted.nearest(unit(1), 1000)} == {f"e{n}" for n in range(150)}
    adopted.close()


def test_an_application_that_never_rests_is_read_in_one_state(
    adopted: ForeignVectors, application: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
):
    marks, n = adopted._source.marks, iter(range(200, 300))

    def busy_marks():
        add(application, next(n))
        return marks()

    monkeypatch.setattr(adopted._source, "marks", busy_marks)
    found = adopted.nearest(unit(200), 1)
    assert [one.id for one in found] == ["e200"]


def test_what_fails_half_way_is_begun_anew(
    adopted: ForeignVectors, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr(vectors, "BATCH", 4)
        read, calls = adopted._source.vectors, iter([True, False])

        def failing(rows):
            if next(calls):
                return read(rows)
            raise KeyboardInterrupt

        patch.setattr(adopted._source, "vectors", failing)
        with pytest.raises(KeyboardInterrupt):
            adopted.nearest(unit(1), 1)
    assert len(adopted.nearest(unit(1), 100)) == 20


def test_the_file_is_never_written(application: sqlite3.Connection, file: Path):
    application.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    adopted = ForeignVectors(file, SUMMARIES, DIMENSIONS)
    nearest(adopted, 1)
    with pytest.raises(StoreError):
        adopted._file.rows("DELETE FROM embeddings")
    adopted.close()
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before


def test_the_application_s_locks_survive(application: sqlite3.Connection, file: Path):
    """Opened and closed by anything but SQLite, a file loses this process's locks on it."""
    application.execute("BEGIN IMMEDIATE")
    adopted = ForeignVectors(file, SUMMARIES, DIMENSIONS)
    nearest(adopted, 1)
    adopted.close()
    script = (
        "import sqlite3, sys; other = sqlite3.connect(sys.argv[1], timeout=0)\n"
        "try: other.execute('BEGIN IMMEDIATE')\nexcept sqlite3.OperationalError as e: print(e)"
    )
    command = [sys.executable, "-c", script, str(file)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "database is locked"
    application.execute("ROLLBACK")


def test_a_file_that_its_application_holds_is_waited_for_and_named(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(foreign_file, "BUSY_S", 0.01)
    application = connect(make(file, wal=False))
    adopted = ForeignVectors(file, SUMMARIES, DIMENSIONS)
    application.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreBusyError, match="has held"):
        nearest(adopted, 1)
    application.execute("ROLLBACK")
    assert nearest(adopted, 1) == ["e1"]
    adopted.close()
    application.close()
    with pytest.raises(StoreError, match="was closed here"):
        nearest(adopted, 1)


# What cannot be adopted


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (Place("nothing", "id", "e"), "has no table 'nothing'.*'embeddings', 'entries'"),
        (Place("embeddings", "who", "embedding"), "no column 'who'.*'entry_id'"),
        (Place("embeddings", "entry_id", 'x" FROM entries --'), "no column"),
        (Place("embeddings", "entry_id", "embedding", {"kind": 1}), "no column 'kind'"),
        (Place("embeddings", "entry_id", "embedding", {"entry_id": [1]}), "no column can equal"),
        (Place("shown", "entry_id", "embedding"), "is a view"),
        (Place("unnumbered", "id", "e"), "WITHOUT ROWID"),
        (Place("covered", "rowid", "e"), "WITHOUT ROWID"),
        (Place("embeddings", "entry_id", "embedding", {}, TextPlace("text")), "no column 'text'"),
        (Place("embeddings", "entry_id", "embedding", {}, TextPlace("a", "b", "c")), "no table"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(
    place: Place, message: str, application: sqlite3.Connection, file: Path
):
    application.execute("CREATE VIEW shown AS SELECT * FROM embeddings")
    application.execute("CREATE TABLE unnumbered (id TEXT PRIMARY KEY, e BLOB) WITHOUT ROWID")
    application.execute("CREATE TABLE covered (rowid, _rowid_, oid, e)")
    with pytest.raises(StoreError, match=message):
        ForeignVectors(file, place, DIMENSIONS)


def test_odd_names_are_taken_as_they_are(file: Path):
    application = connect(file)
    application.execute('CREATE TABLE "my ""v"" (x)" (rowid TEXT, "e; DROP" BLOB, "in" INT)')
    application.execute(
        'INSERT INTO "my ""v"" (x)" VALUES (?, ?, ?)', ("a", unit(1).tobytes(), None)
    )
    place = Place('MY "v" (x)', "ROWID", "e; drop", {"IN": None})
    adopted = ForeignVectors(file, place, DIMENSIONS)
    assert nearest(adopted, 1) == ["a"]
    adopted.close()
    application.close()


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (b"1234567", "blobs of 7 bytes"),
        ("[1, 2]", "JSON lists of 2 numbers"),
        ("hello", "text that is not JSON"),
        (5, "values such as 5"),
    ],
)
def test_vectors_of_another_length_or_form_are_refused(value: object, seen: str, file: Path):
    application = connect(make(file, 0))
    application.execute("INSERT INTO embeddings VALUES ('a', 'summary', ?)", (value,))
    with pytest.raises(SpaceMismatchError, match=seen):
        ForeignVectors(file, SUMMARIES, DIMENSIONS)
    application.close()


def test_a_file_that_is_none_is_named(tmp_path: Path):
    with pytest.raises(StoreNotFoundError):
        ForeignVectors(tmp_path / "no.db", SUMMARIES, DIMENSIONS)
    other = tmp_path / "other.txt"
    other.write_text("no database, but long enough to be taken for one " * 50)
    with pytest.raises(ForeignStoreError, match="not an SQLite database"):
        ForeignVectors(other, SUMMARIES, DIMENSIONS)


def test_errors_of_sqlite_have_names_of_ours():
    for code, kind in ((sqlite3.SQLITE_CANTOPEN, StoreReadOnlyError), (1, StoreError)):
        error = sqlite3.OperationalError("why")
        error.sqlite_errorcode = code
        assert type(foreign_file._store_error(error, Path("x"))) is kind


# Texts


@pytest.mark.parametrize("text", [ENTRIES, None])
def test_texts_are_read_where_they_are(text, application: sqlite3.Connection, file: Path):
    place = Place("embeddings", "entry_id", "embedding", SUMMARIES.where, text)
    adopted = ForeignVectors(file, place, DIMENSIONS)
    assert adopted.has_texts == (text is not None)
    assert adopted.texts(["e1", "nobody"]) == ({"e1": "text 1"} if text else {})
    rows, texts = adopted.sample(5)
    assert len(rows) == len(texts) == (5 if text else 0)
    adopted.close()


def test_texts_beside_the_vectors_are_those_of_the_right_rows(file: Path):
    application = connect(file)
    application.execute("CREATE TABLE v (id, kind, e, t)")
    rows = [(1, "a", unit(1).tobytes(), "right"), (1, "b", unit(2).tobytes(), "wrong")]
    application.executemany("INSERT INTO v VALUES (?, ?, ?, ?)", rows)
    place = Place("v", "id", "e", {"kind": "a"}, TextPlace("t"))
    adopted = ForeignVectors(file, place, DIMENSIONS)
    assert adopted.texts([1]) == {1: "right"}
    vectors_of, texts = adopted.sample(9)
    assert texts == ["right"]
    np.testing.assert_allclose(vectors_of, [unit(1)], atol=1e-6)
    adopted.close()
    application.close()


# Forms


@settings(deadline=None)
@given(
    arrays.arrays(np.float32, (5, DIMENSIONS), elements=st.floats(-(2.0**90), 2.0**90, width=32)),
    st.sampled_from(["float32", "float64", "JSON text"]),
)
def test_every_form_gives_rows_of_length_one_or_none(rows, form):
    values = [ENCODERS[form](row) for row in rows]
    found = rows_of(values, form, DIMENSIONS)
    np.testing.assert_array_equal(found, unit_rows(rows))
    whole = np.isfinite(found).all(axis=1)
    np.testing.assert_array_equal(whole, rows.any(axis=1))
    np.testing.assert_allclose(np.linalg.norm(found[whole].astype(float), axis=1), 1, atol=1e-5)


def test_most_values_tell_the_form():
    good, bad = ENCODERS["float16"](unit(1)), b"?"
    assert form_of([None, good, good, bad], DIMENSIONS, "x") == "float16"
    assert form_of([None], DIMENSIONS, "x") == ""
    assert form_of(["[" + "1," * 7 + "2]"], DIMENSIONS, "x") == JSON
    assert np.isnan(rows_of(["[1, null]", "{}", "[[1]]"], JSON, DIMENSIONS)).all()
