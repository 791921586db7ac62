"""Tables of the sqlite-vec extension in an application's file, read without it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from adopted_samples import DIMENSIONS, connect, unit
from hypothesis import given, settings
from hypothesis import strategies as st

from embedwell.core.errors import SpaceMismatchError, StoreError
from embedwell.stores.foreign.tables import Place, TextPlace
from embedwell.stores.foreign.vectors import ForeignVectors

sqlite_vec = pytest.importorskip("sqlite_vec")
pytestmark = pytest.mark.skipif(
    not hasattr(sqlite3.Connection, "enable_load_extension"),
    reason="this Python's sqlite3 loads no extensions",
)

PLACE = Place("embeddings_vec", "entry_id", "embedding")
TABLE = (
    f"CREATE VIRTUAL TABLE embeddings_vec USING vec0("
    f"entry_id TEXT PRIMARY KEY, embedding FLOAT[{DIMENSIONS}])"
)


def application_of(file: Path, *statements: str) -> sqlite3.Connection:
    """The application's connection, with the extension."""
    connection = connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.enable_load_extension(True)
    sqlite_vec.load(connection)
    connection.enable_load_extension(False)
    for statement in statements:
        connection.execute(statement)
    return connection


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def application(file: Path) -> Iterator[sqlite3.Connection]:
    connection = application_of(file, TABLE)
    put(connection, *range(30))
    yield connection
    connection.close()


def put(application: sqlite3.Connection, *numbers: int) -> None:
    application.executemany(
        "INSERT INTO embeddings_vec (entry_id, embedding) VALUES (?, ?)",
        [(f"e{number}", unit(number)) for number in numbers],
    )


def found(adopted: ForeignVectors, number: int, k: int = 1) -> list[object]:
    return [one.id for one in adopted.nearest(unit(number), k)]


@pytest.mark.parametrize("exact_rows", [0, 1000])
def test_vectors_are_found_as_the_extension_finds_them(application, file: Path, exact_rows: int):
    adopted = ForeignVectors(file, PLACE, DIMENSIONS, exact_rows)
    assert adopted.form == "vec0 float32"
    for question in range(100, 110):
        rows = application.execute(
            "SELECT entry_id, vec_distance_cosine(embedding, ?) FROM embeddings_vec ORDER BY 2",
            (unit(question),),
        ).fetchall()
        ours = adopted.nearest(unit(question), 30)
        assert [one.id for one in ours][:10] == [one for one, _ in rows][:10]
        np.testing.assert_allclose([1 - o.score for o in ours], [d for _, d in rows], atol=2e-6)
    adopted.close()


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(0, 15), st.sampled_from(["put", "delete", "update", "search"])),
        max_size=20,
    )
)
def test_any_order_of_writes_is_followed(tmp_path_factory: pytest.TempPathFactory, steps):
    file = tmp_path_factory.mktemp("steps") / "app.db"
    application = application_of(file, TABLE)
    adopted = ForeignVectors(file, PLACE, DIMENSIONS, 4)
    there: dict[str, int] = {}
    for number, step in [*steps, (0, "search")]:
        name = f"e{number}"
        if step == "put" and name not in there:
            put(application, number)
            there[name] = number
        elif step == "delete" and there.pop(name, None) is not None:
            application.execute("DELETE FROM embeddings_vec WHERE entry_id = ?", (name,))
        elif step == "update" and name in there:
            there[name] += 100
            application.execute(
                "UPDATE embeddings_vec SET embedding = ? WHERE entry_id = ?",
                (unit(there[name]), name),
            )
        elif step == "search":
            scores = {one.id: one.score for one in adopted.nearest(unit(5), 20)}
            assert scores.keys() == there.keys()
            for one, made_of in there.items():
                assert scores[one] == pytest.approx(float(unit(made_of) @ unit(5)), abs=1e-5)
    adopted.close()
    application.close()


def test_more_vectors_than_one_of_its_chunks_holds(application, file: Path):
    application.execute("BEGIN")
    put(application, *range(100, 2500))
    application.execute("COMMIT")
    adopted = ForeignVectors(file, PLACE, DIMENSIONS, 0)
    assert found(adopted, 2400) == ["e2400"]
    assert len(adopted) == 2430
    adopted.close()


@pytest.mark.parametrize(
    ("columns", "id_column"),
    [
        (f"embedding FLOAT[{DIMENSIONS}]", "rowid"),
        (f"id INTEGER PRIMARY KEY, embedding float[{DIMENSIONS}] distance_metric=cosine", "id"),
        (
            f"kind TEXT PARTITION KEY, x int8[8], embedding FLOAT[{DIMENSIONS}], lab TEXT, +n TEXT",
            "rowid",
        ),
    ],
)
def test_every_kind_of_declaration_is_read(columns: str, id_column: str, file: Path):
    application = application_of(file, f"CREATE VIRTUAL TABLE v USING vec0({columns})")
    extra = {
        "kind": "'a'",
        "x int8": "vec_int8('[1,2,3,4,5,6,7,8]')",
        "lab": "'b'",
        "+n TEXT": "'c'",
    }
    more = {name: value for name, value in extra.items() if name in columns}
    names = "".join(f", {name.strip('+').split()[0]}" for name in more)
    values = "".join(f", {value}" for value in more.values())
    for number in range(5):
        application.execute(
            f"INSERT INTO v ({id_column}, embedding{names}) VALUES (?, ?{values})",
            (number + 7, unit(number)),
        )
    adopted = ForeignVectors(file, Place("v", id_column, "embedding"), DIMENSIONS)
    assert found(adopted, 3) == [10]
    adopted.close()
    application.close()


@pytest.mark.parametrize(
    ("place", "kind", "message"),
    [
        (Place("embeddings_vec", "entry_id", "other"), StoreError, "no vectors 'other'"),
        (Place("embeddings_vec", "other", "embedding"), StoreError, "Name 'entry_id'"),
        (Place("embeddings_vec", "entry_id", "embedding", {"a": 1}), StoreError, "read whole"),
        (
            Place("embeddings_vec", "entry_id", "embedding", {}, TextPlace("t")),
            StoreError,
            "holds no texts",
        ),
        (Place("bits", "rowid", "e"), SpaceMismatchError, r"holds bit\[64\]"),
        (Place("broken", "rowid", "e"), StoreError, "not laid out"),
    ],
)
def test_what_cannot_be_read_is_named(place, kind, message, application, file: Path):
    application.execute("CREATE VIRTUAL TABLE bits USING vec0(e bit[64])")
    application.execute(f"CREATE VIRTUAL TABLE broken USING vec0(e float[{DIMENSIONS}])")
    application.execute("DROP TABLE broken_rowids")
    with pytest.raises(kind, match=message):
        ForeignVectors(file, place, DIMENSIONS)


def test_another_dimension_is_refused(application, file: Path):
    with pytest.raises(SpaceMismatchError, match=r"float\[9\]"):
        ForeignVectors(file, PLACE, 9)


def test_texts_come_from_another_table(application, file: Path):
    application.execute("CREATE TABLE entries (id TEXT, content TEXT)")
    application.execute("INSERT INTO entries VALUES ('e3', 'three')")
    place = Place(
        "embeddings_vec", "entry_id", "embedding", {}, TextPlace("content", "entries", "id")
    )
    adopted = ForeignVectors(file, place, DIMENSIONS)
    assert adopted.texts(["e3", "e4"]) == {"e3": "three"}
    stored, texts = adopted.sample(30)
    assert texts == ["three"]
    np.testing.assert_allclose(stored, [unit(3)], atol=1e-6)
    adopted.close()
