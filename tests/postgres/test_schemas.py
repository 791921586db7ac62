"""The two databases' tables are the same, up to types and what each needs for itself."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
from store_samples import SETTINGS, item

from embedwell.stores.registry import create_store

# What a column of one kind may be called in the other.
KINDS = {
    "INTEGER": {"bigint", "integer", "boolean"},
    "TEXT": {"text", "json"},
    "BLOB": {"bytea", "halfvec"},
    "REAL": {"double precision", "timestamp with time zone"},
}
# SQLite's readers follow what changes in the file; PostgreSQL's ask the server.
ONLY_SQLITE = {"code_segments", "removed_vectors", "vec_tables"}
ONLY_POSTGRES = {"embedwell_version"}
# SQLite has a virtual table of this name.
OTHERWISE = {"lexical"}
# For plain SQL; and an order that SQLite's rows have by themselves.
MORE_COLUMNS = {("documents", "embedding"), ("admissions", "seq")}


@pytest.fixture
def sqlite_tables(tmp_path):
    file = tmp_path / "index.db"
    with_one_document(str(file))
    connection = sqlite3.connect(file)
    names = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' "
            "AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'lexical%'"
        )
    ]
    tables = {
        name: {
            column: (kind, bool(not_null or key))
            for _, column, kind, not_null, _, key in connection.execute(
                f"PRAGMA table_info({name})"
            )
        }
        for name in names
    }
    connection.close()
    return tables


@pytest.fixture
def postgres_tables(schema, postgres_server):
    with_one_document(schema)
    tables: dict[str, dict[str, tuple[str, bool]]] = {}
    with psycopg.connect(postgres_server) as connection:
        for table, column, kind, nullable in connection.execute(
            "SELECT table_name, column_name, "
            "CASE data_type WHEN 'USER-DEFINED' THEN udt_name ELSE data_type END, is_nullable "
            "FROM information_schema.columns JOIN information_schema.tables "
            "USING (table_schema, table_name) "
            "WHERE table_schema = %s AND table_type = 'BASE TABLE'",
            [schema.rpartition("=")[2]],
        ):
            tables.setdefault(table, {})[column] = (kind, nullable == "NO")
    return tables


def with_one_document(target: str) -> None:
    store = create_store(target, SETTINGS)
    store.put([item("a.md", ["alpha"])])
    store.close()


def test_both_have_the_same_tables(sqlite_tables, postgres_tables):
    ours = set(postgres_tables) - ONLY_POSTGRES - OTHERWISE
    assert set(sqlite_tables) - ONLY_SQLITE == ours


def test_tables_of_one_name_have_the_same_columns(sqlite_tables, postgres_tables):
    shared = sorted(set(sqlite_tables) & set(postgres_tables))
    assert "vectors_1" in shared
    for table in shared:
        here, there = sqlite_tables[table], postgres_tables[table]
        more = {column for name, column in MORE_COLUMNS if name == table}
        assert set(here) == set(there) - more, table
        for column, (kind, always) in here.items():
            other_kind, other_always = there[column]
            assert other_kind in KINDS[kind], (table, column)
            assert always == other_always, (table, column)
