"""A column of an application's own table goes over to another model while it is used."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from dataclasses import replace

import asyncpg
import numpy as np
import psycopg
import pytest

from embedwell.app.adopted_column import AdoptedColumn
from embedwell.app.configuration import load
from embedwell.core.errors import (
    DriftError,
    MigrationError,
    StoreBusyError,
    StoreNotFoundError,
    StoreSetupError,
    TaskCancelledError,
)
from embedwell.core.events import Watch
from embedwell.models.catalogue import card
from embedwell.stores.columns import ColumnPlace, split_names
from embedwell.stores.postgres.columns import PostgresColumn
from embedwell.stores.registry import open_column
from embedwell.testing import FAKE_BUILD, FAKE_SPACE, FakeEmbedder

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
