"""A column of an application's own table goes over to another model while it is used."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from dataclasses import replace

import asyncpg
import numpy as np
import psycopg
import pytest

from embedwell.app.adopted.column import AdoptedColumn, adopt_column
from embedwell.app.config.configuration import load
from embedwell.app.embedding.embedder import Embedder
from embedwell.core.errors import (
    BadTextsError,
    DriftError,
    MigrationError,
    StoreBusyError,
    StoreNotFoundError,
    StoreSetupError,
    TaskCancelledError,
)
from embedwell.core.events import Watch
from embedwell.handshake.column import ColumnEmbedder
from embedwell.jobs.column import check
from embedwell.models.catalogue import card
from embedwell.stores.columns import ColumnPlace, split_names
from embedwell.stores.postgres.columns import PostgresColumn
from embedwell.stores.registry import open_column
from embedwell.testing import FAKE_BUILD, FAKE_SPACE, FakeEmbedder
from kills import killed

MODEL = "all-MiniLM-L6-v2"
TO = f"{MODEL}@q8"
SPACE = card(MODEL).space
OLD = replace(FAKE_SPACE, dimensions=768)
N_ROWS = 300

TABLE = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE mir_synonyms (
    id bigserial PRIMARY KEY, term text, note text NOT NULL DEFAULT '', embedding vector(768)
);
CREATE INDEX mir_nearest ON mir_synonyms USING hnsw (embedding vector_cosine_ops)
    WITH (m = 12, ef_construction = 40);
CREATE INDEX mir_terms ON mir_synonyms (term);
"""


def term(n: int) -> str:
    return f"word{n} beside other{n % 17} in row{n}"


def as_sql(vectors: np.ndarray) -> list[str]:
    return [str(vector.tolist()) for vector in vectors]


def old_vectors(texts: list[str]) -> list[str]:
    return as_sql(FakeEmbedder(OLD).embed(texts, "document", Watch()).vectors)


def new_vector(text: str) -> np.ndarray:
    return FakeEmbedder(SPACE).embed([text], "document", Watch()).vectors[0]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("embedwell.stores.postgres.column_session.PATIENCE_S", 5.0)


@pytest.fixture
def ask(database):
    """The application: runs a statement, gives its rows."""
    with psycopg.connect(database, autocommit=True) as connection:

        def run(statement, *parameters):
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

        run.connection = connection
        yield run


@pytest.fixture
def table(ask):
    """The application's table, with vectors of a model of 768 dimensions."""
    ask(TABLE)
    texts = [term(n) for n in range(N_ROWS)]
    insert = "INSERT INTO mir_synonyms (term, embedding) VALUES (%s, %s)"
    with ask.connection.cursor() as cursor:
        cursor.executemany(insert, list(zip(texts, old_vectors(texts), strict=True)))
    return ColumnPlace("mir_synonyms", "embedding", ("term",))


@pytest.fixture
def opened(database):
    """Opens columns of the database, with a fake of the model that is moved to."""
    made = []

    def open_(place, embedder=None, address=database):
        column = AdoptedColumn(
            PostgresColumn(address, place), load().settings, lambda *_: embedder or fake()
        )
        made.append(column)
        return column

    yield open_
    for column in made:
        column.close()


def fake(**build) -> FakeEmbedder:
    return FakeEmbedder(SPACE, replace(FAKE_BUILD, artifact=TO, **build))


def columns(ask, name="mir_synonyms") -> dict[str, tuple[str, bool]]:
    rows = ask(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute "
        f"WHERE attrelid = '{name}'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    return {column: (kind, required) for column, kind, required in rows}


def indexes(ask, name="mir_synonyms") -> dict[str, str]:
    rows = ask(
        "SELECT relname, pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class "
        f"ON pg_class.oid = indexrelid WHERE indrelid = '{name}'::regclass AND indisvalid"
    )
    return dict(rows)


def leftovers(ask) -> list[tuple]:
    return [
        *ask("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname ~ 'embedwell'"),
        *ask("SELECT proname FROM pg_proc WHERE pronamespace = 'embedwell'::regnamespace"),
        *ask("SELECT conname FROM pg_constraint WHERE conname ~ 'embedwell_filled'"),
        *ask("SELECT relname FROM pg_class WHERE relkind = 'i' AND relname ~ '^embedwell_[0-9m]'"),
    ]


def assert_right(ask, of="mir_synonyms", text="term"):
    """Every row with a text has exactly the vector of its text."""
    rows = ask(f"SELECT {text}, embedding::text FROM {of} WHERE btrim({text}) <> ''")
    asked = FakeEmbedder(SPACE).embed([row[0] for row in rows], "document", Watch()).vectors
    for (said, stored), vector in zip(rows, asked, strict=True):
        assert stored, said
        found = np.array(stored.strip("[]").split(","), np.float32)
        np.testing.assert_allclose(found, vector, atol=1e-3, err_msg=said)


def test_a_column_is_moved_with_its_index_and_nothing_of_ours_stays(table, ask, opened):
    ask("INSERT INTO mir_synonyms (term) VALUES (NULL), (' '), ('not embedded yet')")
    column = opened(table)
    plan = column.plan(TO)
    assert (plan.facts.n_rows, plan.facts.n_with_text) == (N_ROWS + 3, N_ROWS + 1)
    assert (plan.facts.dimensions, plan.dimensions) == (768, 384)
    assert plan.facts.n_missing == N_ROWS + 1
    assert plan.bytes > 4 * 384 * N_ROWS
    assert ask("SELECT to_regnamespace('embedwell')") == [(None,)]  # nothing was written
    report = column.migrate(TO)
    assert (report.n_embedded, report.n_found) == (N_ROWS + 1, report.n_checked)
    assert columns(ask)["embedding"] == ("vector(384)", False)
    assert set(columns(ask)) == {"id", "term", "note", "embedding"}
    assert_right(ask)
    assert indexes(ask)["mir_nearest"].endswith(
        "USING hnsw (embedding vector_cosine_ops) WITH (m='12', ef_construction='40')"
    )
    assert set(indexes(ask)) == {"mir_synonyms_pkey", "mir_nearest", "mir_terms"}
    assert leftovers(ask) == []
    nearest = "SELECT term FROM mir_synonyms ORDER BY embedding <=> %s LIMIT 1"
    assert ask(nearest, str(new_vector(term(7)).tolist())) == [(term(7),)]
    (space,) = column.spaces()
    assert (space.role, space.space, space.artifact) == ("main", SPACE, TO)
    with pytest.raises(MigrationError, match="are of all-MiniLM-L6-v2@q8 already"):
        column.migrate(TO)


class Changed(FakeEmbedder):
    """Another model under the same name, as a server may have it."""

    def embed(self, texts, kind, watch):
        words = [" ".join(f"{word}2" for word in text.split()) for text in texts]
        return super().embed(words, kind, watch)


def test_a_column_goes_over_to_what_its_model_is_now(table, ask, opened):
    opened(table).migrate(TO)
    changed = Changed(SPACE, replace(FAKE_BUILD, artifact=TO, native="changed"))
    column = opened(table, changed)
    assert column.plan(TO).facts.n_missing == N_ROWS
    assert column.migrate(TO).n_embedded == N_ROWS
    nearest = "SELECT term FROM mir_synonyms ORDER BY embedding <=> %s LIMIT 1"
    vector = changed.embed([term(7)], "query", Watch()).vectors[0]
    assert ask(nearest, str(vector.tolist())) == [(term(7),)]
    with pytest.raises(MigrationError, match="are of all-MiniLM-L6-v2@q8 already"):
        column.migrate(TO)


def test_the_application_reads_and_writes_all_the_while(table, ask, opened, database):
    """An asyncpg pool inserts, changes, deletes and searches until the switch and beyond."""
    over, done = threading.Event(), {}

    async def write(pool, at):
        n = 0
        while not over.is_set():
            n += 1
            name = f"new{at}x{n}"
            await pool.execute("INSERT INTO mir_synonyms (term) VALUES ($1)", f"{name} is new")
            await pool.execute(
                "UPDATE mir_synonyms SET term = $1 WHERE id = $2", f"{name} changed", n * 3 + at
            )
            await pool.execute("UPDATE mir_synonyms SET note = note || '.' WHERE id = $1", n)
            if not n % 10:
                await pool.execute("DELETE FROM mir_synonyms WHERE id = $1", n * 3 + at)
            await asyncio.sleep(0.02)
        return n

    async def read(pool):
        seen = set()
        while not over.is_set():
            async with pool.acquire() as connection:
                size = await connection.fetchval(
                    "SELECT atttypmod FROM pg_attribute WHERE attname = 'embedding' "
                    "AND attrelid = 'mir_synonyms'::regclass"
                )
                try:
                    rows = await connection.fetch(
                        "SELECT id FROM mir_synonyms ORDER BY embedding <=> $1::text::vector "
                        "LIMIT 3",
                        str([0.1] * size),
                    )
                except asyncpg.exceptions.DataError:  # switched between the two
                    continue
                assert len(rows) == 3
                seen.add(size)
        return seen

    async def use():
        async with asyncpg.create_pool(database, min_size=4, max_size=4) as pool:
            return await asyncio.gather(write(pool, 1), write(pool, 2), read(pool), read(pool))

    thread = threading.Thread(target=lambda: done.update(used=asyncio.run(use())))
    thread.start()
    try:
        report = opened(table).migrate(TO, rows_per_s=400)
    finally:
        over.set()
        thread.join()
    n_first, n_second, *sizes = done["used"]
    assert n_first > 20
    assert n_second > 20
    assert set.union(*sizes) <= {768, 384}
    assert 768 in set.union(*sizes)
    assert report.n_embedded >= N_ROWS - 60
    assert report.locked_s < 2
    # What was written after the switch is the application's own to embed.
    ask("DELETE FROM mir_synonyms WHERE embedding IS NULL OR term ~ 'changed'")
    assert len(ask("SELECT term FROM mir_synonyms WHERE term ~ 'is new'")) > 20
    assert_right(ask)
    assert leftovers(ask) == []


def test_what_changes_at_the_worst_moment_is_embedded_anew(table, ask, opened, monkeypatch):
    """Texts change between being read and being written, and before the lock."""
    ask("INSERT INTO mir_synonyms (term) VALUES ('to be deleted')")

    class Meddler(FakeEmbedder):
        left = 6

        def embed(self, texts, kind, watch):
            if self.left:
                self.left -= 1
                ask("UPDATE mir_synonyms SET term = term || %s WHERE id %% 50 = 1", f" {self.left}")
                ask("DELETE FROM mir_synonyms WHERE term ~ 'deleted'")
            return super().embed(texts, kind, watch)

    switch = PostgresColumn.switch

    def meddle(self, *arguments, **options):
        ask("UPDATE mir_synonyms SET term = 'just before the lock' WHERE id = 9")
        return switch(self, *arguments, **options)

    monkeypatch.setattr(PostgresColumn, "switch", meddle)
    opened(table, Meddler(SPACE, replace(FAKE_BUILD, artifact=TO))).migrate(TO)
    assert_right(ask)
    assert ask("SELECT count(*) FROM mir_synonyms WHERE embedding IS NULL") == [(0,)]
    assert ask("SELECT term FROM mir_synonyms WHERE id = 9") == [("just before the lock",)]


def test_a_row_that_is_held_is_not_waited_for(table, ask, opened, database, monkeypatch):
    column = opened(table)
    space = column._column.begin(SPACE, TO, Watch())
    with psycopg.connect(database) as holder:
        holder.execute("UPDATE mir_synonyms SET note = 'held' WHERE id <= 5")
        assert column._column.missing(None, 999)[0].key == ("1",)
        rows = column._column.missing(None, 999)
        vectors = FakeEmbedder(SPACE).embed([row.text for row in rows], "document", Watch()).vectors
        assert column._column.fill(rows, vectors) == N_ROWS - 5
        monkeypatch.setattr("embedwell.jobs.column._MOST_TRIES", 2)
        with pytest.raises(StoreBusyError, match="5 rows of public"):
            column.migrate(TO)
    assert space.role == "next"
    assert column.migrate(TO).n_embedded == 5
    assert_right(ask)


def test_the_lock_is_not_waited_for_long(table, ask, opened, database, monkeypatch):
    """A long transaction of the application keeps the switch off; who comes later is not kept."""
    monkeypatch.setattr("embedwell.stores.postgres.column_session.PATIENCE_S", 0.5)
    monkeypatch.setattr("embedwell.stores.postgres.column_session.LOCK_MS", 50)
    column = opened(table)
    column._column.begin(SPACE, TO, Watch())
    with psycopg.connect(database, application_name="report") as reader:
        reader.execute("SELECT count(*) FROM mir_synonyms")
        with pytest.raises(StoreBusyError, match="used without a pause by report"):
            column._column._session.briefly(lambda: None, Watch())
        ask("SET lock_timeout = '1s'")
        ask("UPDATE mir_synonyms SET note = 'still written' WHERE id = 3")
        watch = Watch()
        watch.cancelled.set()
        with pytest.raises(TaskCancelledError):
            column._column._session.briefly(lambda: None, watch)
    column.migrate(TO)
    assert_right(ask)


def test_it_goes_on_where_it_was_stopped(table, ask, opened):
    watch = Watch()

    class Stopped(FakeEmbedder):
        def embed(self, texts, kind, given):
            if len(texts) == 256:
                watch.cancelled.set()
            return super().embed(texts, kind, Watch())

    column = opened(table, Stopped(SPACE, replace(FAKE_BUILD, artifact=TO)))
    with pytest.raises(TaskCancelledError):
        column.migrate(TO, watch=watch)
    assert ask("SELECT count(embedding__new) FROM mir_synonyms") == [(256,)]
    assert columns(ask)["embedding"] == ("vector(768)", False)
    other = opened(table)
    assert other.plan(MODEL).facts.n_missing == N_ROWS - 256
    assert other.migrate(MODEL).n_embedded == N_ROWS - 256
    assert_right(ask)


def test_another_build_is_measured_before_it_goes_on(table, ask, opened):
    class Drifting(FakeEmbedder):
        def embed(self, texts, kind, watch):
            found = super().embed(texts, kind, watch)
            return replace(found, vectors=found.vectors[:, ::-1].copy())

    column = opened(table)._column
    space = column.begin(SPACE, TO, Watch())
    first = FakeEmbedder(SPACE, replace(FAKE_BUILD, artifact=TO))
    rows = column.missing(None, 50)
    proven = ColumnEmbedder(
        first, None, lambda found: column.refer(space.number, found), (), "here"
    )
    column.fill(rows, proven.embed([row.text for row in rows], Watch()))
    other = Drifting(SPACE, replace(FAKE_BUILD, artifact=TO, native="another"))
    with pytest.raises(DriftError, match="were begun by all-MiniLM-L6-v2@q8 by fake 1"):
        opened(table, other).migrate(TO)
    assert ask("SELECT count(embedding__new) FROM mir_synonyms") == [(50,)]
    same = FakeEmbedder(SPACE, replace(FAKE_BUILD, artifact=TO, native="another"))
    assert opened(table, same).migrate(TO).n_embedded == N_ROWS - 50
    assert_right(ask)


def test_old_vectors_are_kept_and_come_back(table, ask, opened):
    before = ask("SELECT id, embedding::text FROM mir_synonyms ORDER BY id")
    column = opened(table)
    column.migrate(TO, keep_old=True)
    assert columns(ask)["embedding__old"] == ("vector(768)", False)
    assert {"mir_nearest", "mir_nearest__old"} <= set(indexes(ask))
    assert "(embedding vector_cosine_ops)" in indexes(ask)["mir_nearest"]
    with pytest.raises(MigrationError, match="already"):
        column.migrate(TO, keep_old=True)
    column.roll_back()
    assert columns(ask)["embedding"] == ("vector(768)", False)
    assert ask("SELECT id, embedding::text FROM mir_synonyms ORDER BY id") == before
    assert "(embedding vector_cosine_ops)" in indexes(ask)["mir_nearest"]
    assert [space.role for space in column.spaces()] == ["kept"]
    column.roll_back()
    assert_right(ask)
    assert [space.role for space in column.spaces()] == ["main"]
    ask("UPDATE mir_synonyms SET term = 'another text' WHERE id = 1")  # loses its old vector
    with pytest.raises(MigrationError, match="1 rows were written since"):
        column.roll_back()
    column.drop("kept")
    assert "embedding__old" not in columns(ask)
    assert leftovers(ask) == []
    with pytest.raises(MigrationError, match="No earlier vectors"):
        column.roll_back()
    with pytest.raises(MigrationError, match="No earlier vectors"):
        column.drop("kept")


def test_a_migration_is_given_up(table, ask, opened):
    column = opened(table)
    with pytest.raises(MigrationError, match="No migration"):
        column.drop("next")
    column._column.begin(SPACE, TO, Watch())
    with pytest.raises(MigrationError, match="to all-MiniLM-L6-v2@q8 was begun already"):
        column.plan(f"{MODEL}@q32")
    with pytest.raises(MigrationError, match="No earlier vectors"):
        column.roll_back()
    column.drop("next")
    assert set(columns(ask)) == {"id", "term", "note", "embedding"}
    assert leftovers(ask) == []
    assert column.spaces() == []
    assert column.migrate(TO).n_embedded == N_ROWS


def test_a_column_that_somebody_dropped_by_hand_is_begun_again(table, ask, opened):
    column = opened(table)
    column._column.begin(SPACE, TO, Watch())
    ask("ALTER TABLE mir_synonyms DROP COLUMN embedding__new")
    assert column.spaces() == []
    assert column.migrate(TO).n_embedded == N_ROWS
    assert leftovers(ask) == []


def test_not_null_default_rights_storage_and_comment_are_kept(ask, opened):
    ask("CREATE EXTENSION vector")
    ask(
        """CREATE TABLE "Odd ""t%s" (
        "k%" text, "K2" int, "t""x" text, "more" varchar(80),
        "Emb%" halfvec(384) NOT NULL DEFAULT array_fill(0.5, ARRAY[384])::real[]::halfvec,
        PRIMARY KEY ("k%", "K2"))""".replace("%s", "")
    )
    name = '"Odd ""t"'
    ask(
        f'CREATE INDEX "odd%i" ON {name} USING hnsw ("Emb%" halfvec_l2_ops) '
        'WHERE "Emb%" IS NOT NULL'
    )
    ask(f'CREATE INDEX lists ON {name} USING ivfflat ("Emb%" halfvec_ip_ops) WITH (lists = 2)')
    ask(f'ALTER TABLE {name} ALTER "Emb%" SET STORAGE PLAIN')
    ask(f"""COMMENT ON COLUMN {name}."Emb%" IS 'a model''s'""")
    ask("CREATE ROLE searcher")
    ask(f'GRANT SELECT ("Emb%") ON {name} TO searcher WITH GRANT OPTION')
    values = [(f"k{n}", n, None if n == 3 else f"text {n}", f"of {n}") for n in range(30)]
    with ask.connection.cursor() as cursor:
        cursor.executemany(
            f'INSERT INTO {name} ("k%%","K2","t""x","more") VALUES (%s,%s,%s,%s)', values
        )
        cursor.executemany(f'INSERT INTO {name} ("k%%","K2") VALUES (%s,%s)', [("blank", 1)])
    place = ColumnPlace('Odd "t', "Emb%", ('t"x', "more"))
    try:
        report = opened(place).migrate(TO)
        assert report.n_embedded == 31
        (row,) = ask(
            "SELECT attnotnull, attstorage, col_description(attrelid, attnum), "
            "pg_get_expr(adbin, adrelid), attacl::text, format_type(atttypid, atttypmod) "
            "FROM pg_attribute JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
            "WHERE attname = 'Emb%'"
        )
        assert row[:3] == (True, "p", "a model's")
        assert "array_fill" in row[3]
        assert "searcher=r*" in row[4]
        assert row[5] == "halfvec(384)"
        assert set(indexes(ask, name)) == {'Odd "t_pkey', "odd%i", "lists"}
        assert 'WHERE ("Emb%" IS NOT NULL)' in indexes(ask, name)["odd%i"]
        assert leftovers(ask) == []
        rows = ask(f'SELECT "t""x", "more", "Emb%" FROM {name} WHERE "K2" IN (3, 4) ORDER BY 2')
        for text, more, stored in rows:
            wanted = new_vector(f"{text}\n{more}" if text else more)
            found = np.array(stored.strip("[]").split(","), np.float32)
            np.testing.assert_allclose(found, wanted, atol=2e-3)
    finally:
        ask(f"REVOKE ALL ON {name} FROM searcher CASCADE")
        ask(f'REVOKE ALL ("Emb%") ON {name} FROM searcher CASCADE')
        ask("DROP ROLE searcher")


def test_not_null_is_finished_after_a_kill_in_the_last_moment(ask, opened, monkeypatch):
    ask("CREATE EXTENSION vector")
    ask("CREATE TABLE t (id int PRIMARY KEY, name text, embedding vector(3) NOT NULL)")
    ask("INSERT INTO t VALUES (1, 'apple', '[1,2,3]'), (2, 'pear', '[1,2,3]')")
    place = ColumnPlace("t", "embedding", ("name",))
    killed = opened(place)
    with monkeypatch.context() as patch:
        patch.setattr(PostgresColumn, "finish", lambda self, watch: None)
        killed.migrate(TO, keep_old=True)
    assert columns(ask, "t")["embedding"] == ("vector(384)", False)
    with pytest.raises(psycopg.errors.CheckViolation):  # kept all the while
        ask("INSERT INTO t VALUES (3, 'plum', NULL)")
    with pytest.raises(MigrationError, match="already"):
        opened(place).migrate(TO)
    assert columns(ask, "t")["embedding"] == ("vector(384)", True)
    opened(place).roll_back()
    assert columns(ask, "t")["embedding"] == ("vector(3)", True)
    assert columns(ask, "t")["embedding__old"] == ("vector(384)", False)


def test_only_one_migrates(table, opened):
    first, second = opened(table), opened(table)
    with (
        first._column.locked(),
        pytest.raises(StoreBusyError, match=r"Another process \(embedwell .* is moving public"),
    ):
        second.migrate(TO)
    assert second.migrate(TO).n_embedded == N_ROWS


SETUP = """
CREATE EXTENSION vector;
CREATE SCHEMA app;
CREATE TABLE app.elsewhere (id int PRIMARY KEY, name text, embedding vector(3));
CREATE TABLE "Mixed" (id int PRIMARY KEY, "Name" text, "Emb" vector(3), embedding vector(3));
INSERT INTO "Mixed" VALUES (1, 'one', '[1,2,3]', '[1,2,3]');
CREATE TABLE plain (
    id int PRIMARY KEY, code int, name text, made text GENERATED ALWAYS AS (name || '!') STORED,
    embedding vector(3), loose vector, other vector(3) DEFAULT '[1,2,3]', filled int, bits bit(3)
);
CREATE UNIQUE INDEX ON plain (code);
CREATE TABLE keyless (name text, embedding vector(3));
CREATE TABLE viewed (id int PRIMARY KEY, name text, embedding vector(3) CHECK (embedding <> '[0]'));
INSERT INTO viewed VALUES (1, 'one', '[1,2,3]');
CREATE VIEW watching AS SELECT id, embedding FROM viewed;
CREATE TABLE indexed (id int PRIMARY KEY, name text, embedding vector(3));
INSERT INTO indexed VALUES (1, 'one', '[1,2,3]');
CREATE INDEX strange ON indexed USING hnsw ((subvector(embedding, 1, 2)::vector(2)) vector_l2_ops);
CREATE TABLE parts (id int PRIMARY KEY, name text, embedding vector(3)) PARTITION BY RANGE (id);
CREATE TABLE hidden (id int PRIMARY KEY, name text, embedding vector(3));
"""


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (("nothing", "embedding", "name"), "There is no table 'nothing'"),
        (("elsewhere", "embedding", "name"), "but there is app.elsewhere"),
        (("app.elsewhere", "embedding", "name"), 'No row of "app"."elsewhere" has a text'),
        (("plain", "vectors", "name"), "has no column 'vectors'"),
        (("plain", "name", "name"), "is of type text, and not vector or halfvec"),
        (("plain", "bits", "name"), "Name one of: embedding, loose, other"),
        (("keyless", "name", "name"), "is of type text.* Name one of: embedding"),
        (("plain", "embedding", "nam"), "has no column 'nam'"),
        (("plain", "embedding", "code"), "is of type integer, not a text"),
        (("plain", "embedding", "made"), "is generated: its changes cannot be followed"),
        (("plain", "embedding", "name", "code"), "does not tell the rows .* another key: id"),
        (("plain", "embedding", "name", "key"), "has no column 'key'"),
        (("plain", "embedding", ""), "No column with the texts is named"),
        (("plain", "other", "name"), "is no vector of 384 dimensions: '\\[1,2,3\\]'"),
        (("keyless", "embedding", "name"), "has no primary key and no unique index"),
        (("keyless", "embedding", "name", "name"), "Give the table a primary key first"),
        (
            ("viewed", "embedding", "name"),
            "constraint viewed_embedding_check .*; view watching",
        ),
        (("watching", "embedding", "name"), "has no column 'name'"),
        (("indexed", "embedding", "name"), "CREATE INDEX strange ON"),
        (("parts", "embedding", "name"), "is divided into partitions"),
    ],
)
def test_what_cannot_be_moved_is_said_and_untouched(place, said, ask, opened):
    ask(SETUP)
    table, column, text, *key = place
    before = columns(ask, table) if ask("SELECT to_regclass(%s)", table) != [(None,)] else None
    with pytest.raises(MigrationError, match=said):
        opened(ColumnPlace(table, column, split_names(text), tuple(key))).migrate(TO)
    if before is not None:
        assert columns(ask, table) == before
    assert ask("SELECT to_regnamespace('embedwell')") == [(None,)]


@pytest.mark.parametrize(
    ("place", "column"),
    [
        (ColumnPlace("Mixed", "Emb", ("Name",)), "Emb"),
        (ColumnPlace('"Mixed"', '"Emb"', ('"Name"',), ("ID",)), "Emb"),
        (ColumnPlace('public."Mixed"', "EMBEDDING", ("Name",)), "embedding"),
    ],
)
def test_names_are_taken_as_they_are_and_as_sql_has_them(place, column, ask, opened):
    ask(SETUP)
    opened(place).migrate(TO)
    assert columns(ask, '"Mixed"')[column] == ("vector(384)", False)


def test_a_default_that_fits_stays(ask, opened):
    ask(SETUP + "INSERT INTO plain (id, name) VALUES (1, 'one')")
    ask("ALTER TABLE plain ALTER other SET DEFAULT NULL")
    ask("CREATE INDEX half ON plain USING hnsw ((other::halfvec(3)) halfvec_l2_ops)")
    opened(ColumnPlace("plain", "other", ("name",))).migrate(TO)
    assert "((other)::halfvec(384))" in indexes(ask, "plain")["half"]
    opened(ColumnPlace("plain", "loose", ("name",))).migrate(TO)
    assert columns(ask, "plain")["loose"] == ("vector(384)", False)


def test_a_database_without_the_extension_has_no_such_column(database, opened):
    with pytest.raises(StoreSetupError, match="has no pgvector"):
        opened(ColumnPlace("t", "embedding", ("name",)))


def test_a_file_is_no_server(tmp_path):
    with pytest.raises(StoreNotFoundError, match="not moved in 'sqlite'"):
        open_column(str(tmp_path / "app.db"), ColumnPlace("t", "embedding"))


def test_rights_that_are_missing_are_named(table, ask, opened, database):
    ask("CREATE ROLE clerk LOGIN; GRANT SELECT, UPDATE ON mir_synonyms TO clerk")
    ask("CREATE TABLE mine (id int PRIMARY KEY, name text, embedding vector(3))")
    ask("INSERT INTO mine VALUES (1, 'one', NULL); ALTER TABLE mine OWNER TO clerk")
    address = database.replace("//postgres:", "//clerk:")
    try:
        with pytest.raises(StoreSetupError, match="belongs to role 'postgres', and 'clerk' may"):
            opened(table, address=address).plan(TO)
        mine = opened(ColumnPlace("mine", "embedding", ("name",)), address=address)
        with pytest.raises(StoreSetupError, match="may not make the schema 'embedwell'"):
            mine.migrate(TO)
        assert "embedding__new" not in columns(ask, "mine")
        ask("CREATE SCHEMA embedwell AUTHORIZATION clerk")
        ask("GRANT CREATE ON SCHEMA public TO clerk")
        ask("ALTER TABLE mine ENABLE ROW LEVEL SECURITY; ALTER TABLE mine FORCE ROW LEVEL SECURITY")
        with pytest.raises(StoreSetupError, match="Row security hides rows"):
            mine.migrate(TO)
        ask("ALTER TABLE mine DISABLE ROW LEVEL SECURITY")
        assert mine.migrate(TO).n_embedded == 1
    finally:
        ask("DROP OWNED BY clerk CASCADE; DROP ROLE clerk")


def test_a_role_that_knows_nothing_of_ours_goes_on_writing(table, ask, opened, database):
    ask("CREATE ROLE guest LOGIN; GRANT SELECT, INSERT, UPDATE ON mir_synonyms TO guest")
    ask("GRANT USAGE ON SEQUENCE mir_synonyms_id_seq TO guest")
    column = opened(table)
    space = column._column.begin(SPACE, TO, Watch())
    rows = column._column.missing(None, N_ROWS)
    vectors = FakeEmbedder(SPACE).embed([row.text for row in rows], "document", Watch()).vectors
    assert column._column.fill(rows, vectors) == N_ROWS
    try:
        with psycopg.connect(database.replace("//postgres:", "//guest:")) as guest:
            guest.execute("UPDATE mir_synonyms SET term = 'a new text' WHERE id = 4")
            guest.execute("INSERT INTO mir_synonyms (term) VALUES ('a new row')")
        assert column._column.n_missing() == 2
        assert column.migrate(TO).n_embedded == 2
        assert_right(ask)
    finally:
        ask("DROP OWNED BY guest; DROP ROLE guest")
    assert space.texts == ("term",)


def test_triggers_of_the_application_are_told_and_run(table, ask, opened):
    ask("""CREATE TABLE log (n bigint);
        CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN NEW.term := upper(NEW.term); RETURN NEW; END';
        CREATE TRIGGER upper BEFORE UPDATE ON mir_synonyms FOR EACH ROW EXECUTE FUNCTION tell()""")
    column = opened(table)
    assert column.plan(TO).facts.triggers == ("upper",)
    column.migrate(TO)  # each row's text changes as its vector is written: it is embedded again
    assert ask("SELECT count(*) FROM mir_synonyms WHERE term <> upper(term)") == [(0,)]
    assert_right(ask)


def test_an_index_build_is_stopped_and_built_again(table, ask, opened, database):
    watch = Watch()
    column = opened(table)._column
    column.begin(SPACE, TO, Watch())
    with psycopg.connect(database) as reader:
        reader.execute("SELECT 1 FROM mir_synonyms")
        reader.execute("UPDATE mir_synonyms SET note = 'open' WHERE id = 1")
        timer = threading.Timer(0.5, watch.cancelled.set)  # the build waits for the transaction
        timer.start()
        with pytest.raises(TaskCancelledError):
            column.build_indexes(watch)
    assert opened(table).migrate(TO).n_embedded == N_ROWS
    assert_right(ask)
    assert leftovers(ask) == []


# Moves the column with a fake whose engine takes its time.
CHILD = """
import sys, time
from dataclasses import replace
from embedwell.app.adopted.column import AdoptedColumn
from embedwell.app.config.configuration import load
from embedwell.models.catalogue import card
from embedwell.stores.columns import ColumnPlace
from embedwell.stores.postgres.columns import PostgresColumn
from embedwell.testing import FAKE_BUILD, FakeEmbedder

class Slow(FakeEmbedder):
    def embed(self, texts, kind, watch):
        time.sleep(0.001 * len(texts))
        return super().embed(texts, kind, watch)

address, to = sys.argv[1:]
slow = Slow(card("all-MiniLM-L6-v2").space, replace(FAKE_BUILD, artifact=to))
place = ColumnPlace("mir_synonyms", "embedding", ("term",))
column = AdoptedColumn(PostgresColumn(address, place), load().settings, lambda *_: slow)
print("ready", flush=True)
column.migrate(to, keep_old=True)
print("done", flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_it_goes_on_and_nothing_is_wrong(seed, table, ask, database):
    drawn, said = random.Random(seed), []
    for attempt in range(30):
        after_s = drawn.uniform(0.02, 0.3) + 0.2 * attempt
        said.append(killed(CHILD, [database, TO], after_s, until="done"))
        ask(
            "UPDATE mir_synonyms SET term = term || ' again' WHERE id = %s",
            drawn.randrange(N_ROWS),
        )
        now = columns(ask)["embedding"]
        if now == ("vector(384)", False):
            break
    else:
        pytest.fail("never done")
    assert len(said) > 1
    assert ask("SELECT count(*), count(embedding) FROM mir_synonyms") == [(N_ROWS, N_ROWS)]
    ask("DELETE FROM mir_synonyms WHERE embedding__old IS NULL")  # changed after the switch
    assert len(ask("SELECT id FROM mir_synonyms")) >= N_ROWS - 1
    assert_right(ask)


@pytest.fixture
def run_command(capfd, monkeypatch):
    from embedwell.cli.main import main

    def run(*words):
        with pytest.raises(SystemExit) as stop:
            main(words)
        out, err = capfd.readouterr()
        return int(stop.value.code or 0), out, err

    return run


def test_the_real_model_through_the_command_line(table, ask, database, real_cache, run_command):
    ask("DELETE FROM mir_synonyms WHERE id > 40")
    ask("UPDATE mir_synonyms SET term = 'a ferry that leaves at noon' WHERE id = 7")
    ask("UPDATE mir_synonyms SET term = '' WHERE id = 8")
    words = ["migrate", "--to", MODEL, "--table", "mir_synonyms", "--column", "embedding"]
    words += ["--text", "term", "--db", database]
    code, out, _ = run_command(*words, "--plan")
    assert code == 0
    assert '"public"."mir_synonyms"."embedding": vector(768) to vector(384) of' in out
    assert "39 of 40 rows to embed" in out
    assert "1 rows have no text and will have no vector; 1 of them have a vector now." in out
    assert "built again: CREATE INDEX mir_nearest" in out
    code, out, _ = run_command(*words, "--plan", "--json")
    assert json.loads(out)["facts"]["n_missing"] == 39
    assert columns(ask)["embedding"] == ("vector(768)", False)
    code, out, _ = run_command(*words, "--keep-old", "--yes")
    assert (code, "switched: 39 rows embedded" in out) == (0, True)
    with Embedder() as embedder:
        (asked,) = embedder.embed(["the ship goes at twelve"], kind="query")
    nearest = "SELECT term FROM mir_synonyms ORDER BY embedding <=> %s LIMIT 1"
    assert ask(nearest, str(asked.tolist())) == [("a ferry that leaves at noon",)]
    place = words[3:7] + words[9:]
    assert run_command("migrate", "--back", *place)[1] == "back to the vectors that were kept\n"
    assert columns(ask)["embedding"] == ("vector(768)", False)
    code, out, _ = run_command("migrate", "--drop", "kept", "--json", *place)
    assert json.loads(out) == {"dropped": "kept"}
    code, out, _ = run_command(*words, "--json", "--rate", "5000")
    assert json.loads(out)["n_embedded"] == 39
    code, _, err = run_command(*words, "--json")
    assert (code, json.loads(err)["error"]["type"]) == (1, "MigrationError")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", MODEL, "--table", "t"], "--table and --column belong together"),
        (["--to", MODEL, "--column", "c"], "--table and --column belong together"),
        (["--to", MODEL, "--table", "t", "--column", "c"], "Name the column with the texts"),
        (["--drop", "light", "--table", "t", "--column", "c"], "are for an index"),
        (["--back", "--table", "t", "--column", "c"], "No database server is named"),
    ],
)
def test_options_that_do_not_go_together(words, said, run_command):
    code, _, err = run_command("migrate", *words)
    assert (code in {1, 2}, said in err) == (True, True)


def test_the_applications_variable_names_the_database(table, ask, database, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database)
    with adopt_column("mir_synonyms", "embedding", text="term", key="id") as column:
        assert column.spaces() == []


def test_vectors_that_find_nothing_are_not_switched_to(table, ask, opened):
    class Random(FakeEmbedder):
        def embed(self, texts, kind, watch):
            found = super().embed(texts, kind, watch)
            if len(texts) != N_ROWS and "row" in texts[0]:  # the probes are as they should be
                noise = np.random.default_rng().standard_normal(found.vectors.shape)
                return replace(found, vectors=noise.astype(np.float32))
            return found

    column = opened(table, Random(SPACE, replace(FAKE_BUILD, artifact=TO)))
    with pytest.raises(MigrationError, match=r"Only \d+ of 64 rows .* nothing was switched"):
        column.migrate(TO)
    assert columns(ask)["embedding"] == ("vector(768)", False)
    column.drop("next")
    assert leftovers(ask) == []


def test_what_an_engine_fails_on_is_told_and_the_rest_is_kept(table, ask, opened):
    class Failing(FakeEmbedder):
        def embed(self, texts, kind, watch):
            found = super().embed(texts, kind, watch)
            bad = {at: "too odd" for at, text in enumerate(texts) if text.endswith("row5")}
            if bad:
                found.vectors[list(bad)] = np.nan
                raise BadTextsError(bad, found)
            return found

    with pytest.raises(BadTextsError, match="too odd"):
        opened(table, Failing(SPACE, replace(FAKE_BUILD, artifact=TO))).migrate(TO)
    assert ask("SELECT count(embedding__new) FROM mir_synonyms") == [(255,)]
    assert opened(table).migrate(TO).n_embedded == N_ROWS - 255


def test_a_table_of_many_copies_is_moved(ask, opened):
    ask("CREATE EXTENSION vector")
    ask("CREATE TABLE t (name varchar(20) PRIMARY KEY, kind char(9), v halfvec)")
    ask("INSERT INTO t SELECT 'n' || n, 'same' FROM generate_series(1, 400) AS n")
    report = opened(ColumnPlace("t", "v", ("kind",))).migrate(TO)
    assert (report.n_embedded, report.n_checked, report.n_found) == (400, 16, 16)
    assert columns(ask, "t")["v"] == ("halfvec(384)", False)


def test_more_dimensions_than_an_index_takes_are_refused(table, opened):
    column = opened(table)._column
    with pytest.raises(MigrationError, match="at most 2,000 dimensions"):
        check(column, replace(SPACE, dimensions=2001))


def test_a_column_of_that_name_that_is_not_ours_is_refused(table, ask, opened):
    ask("ALTER TABLE mir_synonyms ADD COLUMN embedding__new int")
    with pytest.raises(MigrationError, match="a column 'embedding__new' that is not ours"):
        opened(table).migrate(TO)


def test_a_role_of_short_patience_and_strict_isolation_can_migrate(table, ask, opened, database):
    ((name,),) = ask("SELECT current_database()")
    ask(f"ALTER DATABASE {name} SET statement_timeout = '30ms'")
    ask(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    column = opened(table)
    ask("SET statement_timeout = 0")
    column.migrate(TO)
    assert_right(ask)
