"""Pure parts of the PostgreSQL store, and that the server agrees with them."""

from __future__ import annotations

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedwell.core.errors import StoreSetupError
from embedwell.stores.filters import path_pattern
from embedwell.stores.postgres.address import parse_address
from embedwell.stores.postgres.filters import path_expression
from embedwell.stores.postgres.hnsw import index_memory
from embedwell.stores.postgres.lexical import bm25, chunk_words, folded, found_by
from embedwell.stores.postgres.rows import mean_literal
from embedwell.stores.postgres.setup import check_server, session_text
from embedwell.stores.postgres.texts import from_stored, to_stored
from embedwell.stores.postgres.vectors import decoded, encoded
from embedwell.stores.registry import store_kind
from embedwell.stores.values import StoredChunk
from embedwell.stores.words import name_pieces


@given(st.text(alphabet=st.sampled_from("a\0\x1a01é😀"), max_size=12))
def test_texts_come_back_and_have_no_character_0(text):
    stored = to_stored(text)
    assert "\0" not in stored
    assert from_stored(stored) == text


GLOBS = st.text(alphabet=st.sampled_from("ab.*?/[]!-^\\$(){}|+é "), max_size=8)
PATHS = st.text(alphabet=st.sampled_from("ab.*?/[]!-^\\$(){}|+é \n"), max_size=8)


def test_the_server_reads_globs_as_python_does(postgres_server):
    with psycopg.connect(postgres_server, autocommit=True) as connection:

        @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
        @given(GLOBS, st.lists(PATHS, min_size=1, max_size=6))
        def check(glob, paths):
            row = connection.execute(
                "SELECT array_agg(path ~ %s ORDER BY at) "
                "FROM unnest(%s::text[]) WITH ORDINALITY AS rows (path, at)",
                (path_expression(glob), paths),
            ).fetchone()
            pattern = path_pattern(glob)
            assert row[0] == [pattern.fullmatch(path) is not None for path in paths]

        check()


@pytest.mark.parametrize("n", [1, 2, 3, 17, 255, 256])
def test_counts_of_a_word_are_read_off_its_rank(postgres_server, n):
    with psycopg.connect(postgres_server) as connection:
        (rank,) = connection.execute(
            "SELECT ts_rank('{1,1,1,1}', to_tsvector('simple', repeat('alpha ', %s) || 'beta'), "
            "plainto_tsquery('simple', 'alpha'))",
            (n,),
        ).fetchone()
    # Without length and saturation the score would be idf * (k1 + 1) * n / (n + k1).
    (score,) = bm25(np.array([[rank]]), np.array([10.0]), [1.0], 10.0)
    assert score == pytest.approx(2.2 * n / (n + 1.2), rel=1e-4)


def test_a_chunk_without_a_word_scores_nothing_for_it():
    assert bm25(np.zeros((1, 2)), np.array([5.0]), [1.0, 2.0], 5.0).tolist() == [0]


def test_words_are_folded_and_names_are_taken_apart():
    chunk = StoredChunk(0, 9, 1, 1, "Été > parseMeta", "Ünïcode, x_1!", "")
    text = found_by(chunk, "src/aB.py")
    words = chunk_words(text, name_pieces(text))
    assert " ".join(words) == "ete parsemeta src ab py unicode x 1 parse meta a b"
    assert folded("ÉTÉ") == "ete"


def test_vectors_come_back_from_the_form_of_the_wire(postgres_server):
    halves = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float16)
    ids = np.array([7, 2**40, 9])
    with psycopg.connect(postgres_server) as connection, connection.cursor(binary=True) as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
        cursor.execute("CREATE TEMP TABLE wire (chunk bigint, vector halfvec(5))")
        with cursor.copy("COPY wire FROM STDIN (FORMAT binary)") as copy:
            copy.write(encoded(ids, halves))
        found = cursor.execute("SELECT chunk, vector FROM wire").fetchall()
        connection.rollback()
    assert [row[0] for row in found] == ids.tolist()
    np.testing.assert_array_equal(decoded(found, 5), halves.astype(np.float32))


def test_a_document_is_the_mean_of_its_chunks():
    assert mean_literal(np.empty((0, 2), np.float16)) is None
    assert mean_literal(np.array([[1, 0], [-1, 0]], np.float16)) is None
    assert mean_literal(np.array([[2, 0]], np.float16)) == "[1,0]"
    unit = np.random.default_rng(0).standard_normal((1, 512))
    unit = (unit / np.linalg.norm(unit)).astype(np.float16)
    written = np.array(mean_literal(unit)[1:-1].split(","), np.float32).astype(np.float16)
    np.testing.assert_allclose(written, unit[0], atol=1e-3)


def test_memory_for_an_index_has_bounds():
    assert index_memory(10, 384) == 64 << 20
    assert index_memory(200_000, 384) == 200_000 * (768 + 320)
    assert index_memory(10**9, 384) == 2 << 30


def test_iterative_scans_are_asked_for_where_they_exist():
    assert "iterative" in session_text((0, 8, 0), read_only=False)
    assert "iterative" not in session_text((0, 7, 4), read_only=False)
    assert "read_only" in session_text((0, 8), read_only=True)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("postgres://host/db", "postgresql"),
        ("postgresql+asyncpg://host/db", "postgresql"),
        ("postgres-embedded:", "postgresql"),
        ("postgres-embedded:/some/folder", "postgresql"),
        ("index.db", "sqlite"),
        ("C:\\index.db", "sqlite"),
    ],
)
def test_targets_name_their_kind(target, kind):
    assert store_kind(target) == kind


class OldServer:
    """Answers as a server does that lacks something."""

    def __init__(self, **answers):
        self.answers = answers

    def execute(self, statement):
        self.row = next(
            ((value,) for part, value in self.answers.items() if part in statement), None
        )
        return self

    def fetchone(self):
        return self.row


@pytest.mark.parametrize(
    ("answers", "problem", "remedy"),
    [
        ({"server_version_num": "120011"}, "is PostgreSQL 12; 13", "Update it"),
        (
            {"server_version_num": "160000", "extversion": "0.6.2"},
            "pgvector 0.6.2; 0.7 or newer",
            "ALTER EXTENSION vector UPDATE;",
        ),
        ({"server_version_num": "160000"}, "has no pgvector", "Install it on the server"),
    ],
)
def test_what_a_server_lacks_is_said(answers, problem, remedy):
    with pytest.raises(StoreSetupError) as error:
        check_server(OldServer(**answers), parse_address("postgresql://host/db"))
    assert problem in error.value.problem
    assert remedy in error.value.remedy
