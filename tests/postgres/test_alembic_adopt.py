"""A database with tables of its own is adopted, upgraded and taken back, and nothing is touched."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
import psycopg
import pytest
from application_tables import DIMENSIONS, dump, make_tables, traces

from embedwell.core.errors import StoreError
from embedwell.stores.postgres import upgrade
from embedwell.stores.postgres.migrations import PostgresMigrations


@pytest.fixture
def application(database):
    make_tables(database)
    return database


def _version(address):
    with psycopg.connect(address) as connection:
        return connection.execute("SELECT version_num FROM embedwell.embedwell_version").fetchall()


def _everything(address):
    migrations = PostgresMigrations(address)
    yield migrations.adopt()
    assert _version(address) == [("001",)]
    yield migrations.upgrade("head")
    yield migrations.downgrade("001")
    assert _version(address) == [("001",)]
    yield migrations.upgrade("head")


def test_nothing_of_the_applications_is_touched(application):
    before, where = dump(application), traces(application)
    for _ in _everything(application):
        assert traces(application) == where
        assert dump(application) == before


def test_the_applications_pool_works_on_while_the_schema_is_moved(application):
    async def use(pool, done):
        probe = str([0.1] * DIMENSIONS)
        nearest = "SELECT id FROM nodes ORDER BY embedding <=> $1::text::vector LIMIT 5"
        n_used = 0
        while not done.is_set():
            async with pool.acquire(timeout=5) as connection, connection.transaction():
                assert len(await connection.fetch(nearest, probe)) == 5
                await connection.execute("INSERT INTO heartbeat DEFAULT VALUES")
            n_used += 1
        return n_used

    async def run():
        done = asyncio.Event()
        async with asyncpg.create_pool(application, min_size=4, max_size=4) as pool:
            users = [asyncio.create_task(use(pool, done)) for _ in range(4)]
            steps = _everything(application)
            used = []
            while await asyncio.to_thread(next, steps, None):
                used.append(await pool.fetchval("SELECT count(*) FROM heartbeat"))
            done.set()
            return used, await asyncio.gather(*users)

    used, n_used = asyncio.run(run())
    assert used[0] < used[-1]  # it went on meanwhile
    assert min(n_used) > 0


def test_no_lock_on_the_applications_tables_is_waited_for(application):
    with psycopg.connect(application) as busy:
        busy.execute("LOCK TABLE events, nodes, edges, documents IN ACCESS EXCLUSIVE MODE")
        found = PostgresMigrations(application).survey()
        assert [column.rows for column in found.columns] == [150, 120, 100]
        assert not any(column.rows_exact for column in found.columns)  # the server's own estimates
        for _ in _everything(application):
            pass
        busy.rollback()


def test_the_plan_tells_what_vectors_there_are(application):
    with psycopg.connect(application, autocommit=True) as connection:
        connection.execute('CREATE TABLE "odd ""one" (loose vector, half halfvec(3))')
        connection.execute("CREATE TABLE parts (v vector(2)) PARTITION BY LIST (v)")
    found = PostgresMigrations(application).survey()
    told = [(c.table, c.column, c.type, c.dimensions, c.rows, c.rows_exact) for c in found.columns]
    assert told == [
        ('public."odd ""one"', "loose", "vector", None, 0, True),
        ('public."odd ""one"', "half", "halfvec(3)", 3, 0, True),
        ("public.edges", "embedding", "vector(768)", 768, 150, True),
        ("public.events", "embedding", "vector(768)", 768, 120, True),
        ("public.nodes", "embedding", "vector(768)", 768, 100, True),
        ("public.parts", "v", "vector(2)", 2, None, False),
    ]
    (nodes,) = (column for column in found.columns if column.table == "public.nodes")
    assert nodes.indexes == ("public.nodes_nearest: hnsw, vector_cosine_ops",)
    assert found.tables == 8
    assert found.state.revision is None


def test_a_large_table_is_not_counted(application, monkeypatch):
    monkeypatch.setattr("embedwell.stores.postgres.survey._COUNTED_BYTES", 0)
    found = PostgresMigrations(application).survey()
    assert [(c.rows, c.rows_exact) for c in found.columns] == [
        (150, False),
        (120, False),
        (100, False),
    ]


def test_a_database_is_adopted_once(application):
    migrations = PostgresMigrations(application)
    assert migrations.adopt().revision == "001"
    for adopt in (migrations.survey, migrations.adopt):
        with pytest.raises(StoreError, match="is adopted already: its schema 'embedwell' is at"):
            adopt()
    migrations.upgrade("head")
    for adopt in (migrations.survey, migrations.adopt):
        with pytest.raises(StoreError, match="has embedwell's tables already"):
            adopt()


def test_a_database_without_the_extension_can_be_adopted(database):
    assert PostgresMigrations(database).survey().columns == ()
    PostgresMigrations(database).adopt()
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT extname FROM pg_extension").fetchall()
    assert found == [("plpgsql",)]


def test_the_baseline_cannot_be_taken_back(application):
    migrations = PostgresMigrations(application)
    migrations.upgrade("head")
    for start in (upgrade.HEAD, "001"):
        assert migrations.state().revision == start
        with pytest.raises(StoreError, match="Revision 001 is the baseline"):
            migrations.downgrade("base")
        assert migrations.state().revision == start  # nothing was half taken back
        with contextlib.suppress(StoreError):
            migrations.downgrade("001")
