"""Rows of a query as records."""

from __future__ import annotations

import sqlite3

import pytest

from embedwell.core.errors import QueueError, StoreNotFoundError
from embedwell.ingest.sources.sql import Columns, Query


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE things (id, name TEXT, about TEXT, price, vector BLOB)")
        database.executemany(
            "INSERT INTO things VALUES (?, ?, ?, ?, ?)",
            [
                (1, "lamp", "It shines.", 3.5, b"\0" * 8),
                (2, "box", None, None, None),
                (3, None, "  ", 1, None),
                (None, "nothing", "has no id", 1, None),
                (1, "lamp", "once more", 1, None),
            ],
        )
    database.close()
    return str(path)


def listed(target, query, columns):
    told = []
    items = list(Query(target, query, columns).items(told.append))
    return items, [(one.key, one.fate, one.reason) for one in told]


def test_rows_become_records(shop):
    reader = Query(shop, "SELECT * FROM things", Columns("id", ("name", "about")))
    told = []
    lamp, box = reader.items(told.append)
    assert (lamp.key, box.key) == ("1", "2")
    content = reader.read(lamp)
    assert (content.data, content.metadata) == ("lamp\nIt shines.", {"price": 3.5})
    assert (reader.read(box).data, reader.read(box).metadata) == ("box", {})
    assert [(one.key, one.fate, one.reason) for one in told] == [
        ("3", "left out", "has no text"),
        ("row 4", "left out", "has no id"),
        ("1", "failed", "comes twice; the first is kept"),
    ]


def test_bytes_are_no_text(shop):
    items, told = listed(shop, "SELECT id, vector FROM things LIMIT 1", Columns("id", ("vector",)))
    assert items == []
    assert told == [("1", "failed", "has bytes where a text should be")]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("DELETE FROM things", "readonly"),
        ("PRAGMA user_version = 1", "readonly|gives no rows"),
        ("SELECT id, name FROM things", "gives no column 'text'; it gives id, name"),
    ],
)
def test_a_query_that_cannot_be_run_is_refused(shop, query, why):
    with pytest.raises(QueueError, match=why):
        listed(shop, query, Columns())
    with sqlite3.connect(shop) as database:
        assert database.execute("SELECT count(*) FROM things").fetchone() == (5,)
    database.close()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StoreNotFoundError):
        listed(str(tmp_path / "none.db"), "SELECT 1", Columns())
    with pytest.raises(StoreNotFoundError, match="no queries in 'mysql'"):
        listed("mysql://host/db", "SELECT 1", Columns())


def test_texts_in_other_encodings_are_read(shop):
    query = "SELECT 1 AS id, CAST(x'6361666520e9' AS TEXT) AS text"
    ((item,), _) = listed(shop, query, Columns())
    assert Query(shop, query, Columns()).read(item).data == "cafe \ufffd"
