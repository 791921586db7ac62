"""Rows of a query over an application's tables in PostgreSQL as records."""

from __future__ import annotations

import psycopg
import pytest

from embedwell.core.errors import QueueError, StoreError
from embedwell.ingest.sources.sql import Columns, Query


@pytest.fixture
def shop(database):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE things (id uuid, name text, price numeric, tags jsonb, at timestamptz)"
        )
        connection.execute(
            "INSERT INTO things SELECT gen_random_uuid(), 'lamp ' || n, 1.5, '[\"a\"]', now() "
            "FROM generate_series(1, 2500) AS n"
        )
    return database


def listed(target, query, columns=Columns("id", ("name",))):  # noqa: B008 - a frozen value
    told = []
    return list(Query(target, query, columns).items(told.append)), told


def test_rows_are_streamed_with_what_json_has(shop):
    items, told = listed(shop, "SELECT * FROM things WHERE name LIKE '%lamp%'")
    assert (len(items), told) == (2500, [])
    content = Query(shop, "", Columns()).read(items[0])
    assert content.data.startswith("lamp ")
    assert content.metadata["tags"] == ["a"]
    assert content.metadata["price"] == "1.5"
    assert content.metadata["at"].startswith("20")
    assert len({item.key for item in items}) == 2500


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELEC 1", "refuses the query: syntax error"),
        ("DELETE FROM things RETURNING id, name", "refuses the query"),
        ("SELECT 1; DROP TABLE things", "refuses the query"),
        (
            "WITH gone AS (DELETE FROM things RETURNING *) SELECT id, name FROM gone",
            "refuses the query",
        ),
        ("SELECT id FROM things", "gives no column 'name'"),
    ],
)
def test_nothing_but_reading_is_done(shop, query, why):
    with pytest.raises(QueueError, match=why):
        listed(shop, query)
    assert len(listed(shop, "SELECT * FROM things")[0]) == 2500


def test_what_goes_wrong_in_the_middle_is_told(shop):
    query = "SELECT id, (1 / (price - 1.5))::text AS name FROM things"
    with pytest.raises((QueueError, StoreError), match="division by zero"):
        listed(shop, query)


def test_a_server_that_is_away_is_told():
    with pytest.raises(StoreError, match="cannot be reached"):
        listed("postgresql://nobody@127.0.0.1:1/none", "SELECT 1")
