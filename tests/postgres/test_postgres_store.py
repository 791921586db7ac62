"""What is PostgreSQL's own about the store in it; the rest is the contract of every store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace

import numpy as np
import psycopg
import pytest
from store_samples import CODE_SPACE, DIMENSIONS, SETTINGS, SPACE, code_item, item, signs, wide

from embedwell.core.errors import (
    ForeignStoreError,
    SpaceMovedError,
    StoreBusyError,
    StoreError,
    StoreNotFoundError,
    StoreReadOnlyError,
)
from embedwell.stores.postgres import hnsw, vectors
from embedwell.stores.postgres.store import PostgresStore
from embedwell.stores.protocol import CollectionSettings, Filter
from embedwell.stores.queue import Item, Outcome
from embedwell.stores.spaces import CODE_ALONE, EVERYTHING

ALL = Filter()


@pytest.fixture
def store(schema):
    made = PostgresStore.create(schema, SETTINGS)
    yield made
    made.close()


@pytest.fixture
def ask(schema, postgres_server):
    """Runs plain SQL in the store's schema."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {schema.rpartition('=')[2]}, public")
        yield lambda statement: connection.execute(statement).fetchall()


@pytest.fixture
def few_rows_are_indexed(monkeypatch):
    monkeypatch.setattr(hnsw, "INDEXED_ROWS", 40)


def rows(n: int, seed: int = 1) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).standard_normal((n, DIMENSIONS)).astype(np.float32))


def many(n: int, language: str = "markdown"):
    return item(f"many.{language}", [f"word{at}" for at in range(n)], rows(n), language=language)


def test_what_two_create_at_once_is_made_once(schema):
    made, refused = [], []

    def create():
        try:
            made.append(PostgresStore.create(schema, SETTINGS))
        except StoreError as error:
            refused.append(error)

    threads = [threading.Thread(target=create) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 2)
    assert all("already" in str(error) for error in refused)
    made[0].close()


def test_nothing_there_is_not_found(schema):
    with pytest.raises(StoreNotFoundError, match="no index in schema"):
        PostgresStore.open(schema)


def test_a_schema_without_a_collection_is_not_found(schema, store, ask):
    ask("DELETE FROM spaces RETURNING 1")
    ask("DELETE FROM collections RETURNING 1")
    with pytest.raises(StoreNotFoundError):
        PostgresStore.open(schema)


def test_a_schema_of_another_program_is_left_alone(schema, postgres_server):
    name = schema.rpartition("=")[2]
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        connection.execute(f"CREATE TABLE {name}.documents (theirs text)")
        with pytest.raises(ForeignStoreError):
            PostgresStore.create(schema, SETTINGS)
        with pytest.raises(ForeignStoreError):
            PostgresStore.open(schema)
        assert connection.execute(f"SELECT theirs FROM {name}.documents").fetchall() == []


def test_what_is_opened_for_reading_is_not_written(schema, store):
    store.put([item("a", ["alpha"])])
    reader = PostgresStore.open(schema, read_only=True)
    assert reader.counts().chunks == 1
    for write in (
        lambda: reader.put([item("b", ["beta"])]),
        lambda: reader.delete(["a"]),
        reader.compact,
        lambda: reader.writing().__enter__(),
    ):
        with pytest.raises(StoreReadOnlyError):
            write()
    reader.close()


def test_nothing_is_written_inside_a_snapshot(store):
    with store.snapshot(), pytest.raises(StoreError, match="snapshot"):
        store.put([item("a", ["alpha"])])


def test_a_snapshot_does_not_see_what_others_write(schema, store):
    other = PostgresStore.open(schema)
    with store.snapshot():
        assert store.counts().documents == 0
        other.put([item("a", ["alpha"])])
        assert store.counts().documents == 0
    assert store.counts().documents == 1
    other.close()


def test_what_fails_inside_a_snapshot_is_told_as_it_is(store):
    with pytest.raises(UnicodeEncodeError), store.snapshot():
        "\ud800".encode()
    with pytest.raises(UnicodeEncodeError), store.writing():
        "\ud800".encode()
    assert store.counts().documents == 0


def test_a_lock_ends_with_its_connection(schema, store, ask):
    other = PostgresStore.open(schema)
    with store.writing():
        with pytest.raises(StoreBusyError, match="embedwell"), other.writing():
            pass
        ask("SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'")
        with other.writing():
            pass
    other.close()


def test_filters_hold_where_the_index_is_walked(store, few_rows_are_indexed, monkeypatch):
    monkeypatch.setattr(vectors, "FEW_ALLOWED", 20)
    store.put([many(200), many(100, "python"), many(10, "rust")])
    query = rows(1, seed=9)[0]
    for language, n in (("python", 100), ("rust", 10)):
        where = Filter(language=language)
        found = store.nearest(query, 8, where)
        every = store.nearest(query, 1_000, where)
        assert len(every.ids) == n
        assert len(set(found.ids) & set(every.ids[:8])) >= 7
        assert {chunk.language for chunk in store.chunks(every.ids.tolist())} == {language}


def test_large_tables_are_searched_with_more_candidates(store, monkeypatch):
    assert vectors.ef_search(100_000) == vectors.LEAST_EF_SEARCH
    assert vectors.ef_search(300_000) == 600
    assert vectors.ef_search(10**9) == vectors.MOST_EF_SEARCH
    monkeypatch.setattr(vectors, "LEAST_EF_SEARCH", 41)
    store.put([item("a", ["alpha"])])
    monkeypatch.setattr(vectors, "ef_search", lambda n: 77)
    assert len(store.nearest(signs(5), 3, ALL).ids) == 1


def test_damage_is_told(store, ask):
    store.put([item("a", ["alpha", "beta"])])
    ask("DELETE FROM vectors_1 WHERE chunk = 1 RETURNING 1")
    ask("UPDATE vectors_1 SET vector = array_fill(0, ARRAY[16])::halfvec RETURNING 1")
    ask("DELETE FROM lexical WHERE chunk = 1 RETURNING 1")
    assert len(store.check()) == 3
    ask("SELECT set_config('session_replication_role', 'replica', false)")
    ask("DELETE FROM chunks RETURNING 1")
    ask(
        "INSERT INTO spaces SELECT 9, 1, 'kept', '', declaration, 16, '', 0 FROM spaces RETURNING 1"
    )
    told = "\n".join(store.check())
    assert "belong to chunks that are gone" in told
    assert "space 9 is gone" in told


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("DELETE FROM documents WHERE key = 'a' RETURNING 1", "their documents are gone"),
        ("DELETE FROM files_queue WHERE key = 'a' RETURNING 1", "have no row in the queue"),
        ("UPDATE files_queue SET status = 'leased', lease_end = NULL RETURNING 1", "leased to"),
    ],
)
def test_a_queue_that_does_not_fit_its_documents_is_told(store, ask, wrong, told):
    source = store.queue.add_source("folder", "notes", "", "", {})
    run = store.queue.open_run(0)
    store.queue.enqueue(source.number, run.number, [Item("a", "markdown", 1, 1)])
    (task,) = store.queue.claim("w", 1, 30)
    document = item("a", ["alpha"])
    document = replace(document, document=replace(document.document, source=source.number))
    store.put([document], outcomes=[Outcome(task, "done")])
    assert store.check() == []
    ask(wrong)
    (said,) = store.check()
    assert told in said


def test_a_backup_is_left_to_pg_dump(store, tmp_path):
    with pytest.raises(StoreError, match="pg_dump --format=custom"):
        store.backup(tmp_path / "copy")


def test_plain_sql_counts_what_is_stored(store, ask):
    store.put(
        [
            item("a.md", ["alpha", "beta"]),
            item("b.py", ["gamma"], kind="code", language="python"),
            item("empty.md", []),
            item("record", ["delta"], is_record=True),
        ]
    )
    assert ask("SELECT COUNT(*), COUNT(embedding) FROM documents") == [(4, 3)]
    assert ask("SELECT COUNT(embedding) FROM document_chunks") == [(3,)]
    assert ask("SELECT file_path, content FROM code_chunks") == [("b.py", "gamma")]
    assert ask("SELECT COUNT(DISTINCT file_path) FROM parsed_files") == [(3,)]
    assert ask("SELECT count(*) FROM documents WHERE abs(l2_norm(embedding) - 1) < 1e-3") == [(3,)]


def test_plain_sql_follows_the_main_space(store, ask):
    store.put([item("a.md", ["alpha", "beta"])])
    wider = replace(SPACE, model="wider", dimensions=24)
    number = store.spaces.add(wider, "next", "a test").number
    ids = np.array([found.id for found in store.spaces.missing(number, 0, 9)])
    store.spaces.fill(number, ids, np.eye(2, 24, dtype=np.float32))
    store.spaces.switch(number, keep=False)
    assert ask("SELECT vector_dims(embedding) FROM document_chunks") == [(24,), (24,)]
    (half,) = ask("SELECT embedding::real[] FROM documents")
    np.testing.assert_allclose(half[0][:3], [0.5**0.5, 0.5**0.5, 0], atol=1e-3)
    assert store.settings == CollectionSettings(wider, SETTINGS.chunk_tokens, "a test")


def test_plain_sql_follows_the_spaces_of_a_pair(store, ask):
    def seen():
        of_chunks = "SELECT array_agg(vector_dims(embedding)) FROM {}"
        views = [ask(of_chunks.format(name))[0][0] for name in ("document_chunks", "code_chunks")]
        means = ask("SELECT vector_dims(embedding::vector) FROM documents ORDER BY key")
        return [*views, [dimensions for (dimensions,) in means]]

    store.put([item("a.md", ["alpha"]), item("b.py", ["beta", "gamma"], kind="code")])
    assert seen() == [[16], [16, 16], [16, 16]]
    code = store.spaces.add(CODE_SPACE, "next", "", holds=CODE_ALONE).number
    ids = np.array([found.id for found in store.spaces.missing(code, 0, 9)])
    store.spaces.fill(code, ids, np.array([wide(1), wide(2)]))
    store.spaces.switch(code, keep=False)
    assert seen() == [[16], [24, 24], [16, 24]]
    store.spaces.split()
    store.put([code_item("c.py", ["delta"])])
    assert seen() == [[16], [24, 24, 24], [16, 24, 24]]
    store.put([item("b.py", ["text"])])
    assert seen() == [[16, 16], [24], [16, 16, 24]]
    whole = store.spaces.add(SPACE, "next", "", holds=EVERYTHING).number
    ids = np.array([found.id for found in store.spaces.missing(whole, 0, 9)])
    store.spaces.fill(whole, ids, np.array([signs(n) for n in ids]))
    store.spaces.switch(whole, keep=False)
    assert seen() == [[16, 16], [24], [16, 16, 24]]
    store.spaces.drop(code)
    assert seen() == [[16, 16], [16], [16, 16, 16]]
    assert store.check() == []


def test_words_too_common_to_tell_are_left_out_but_one(store, monkeypatch):
    monkeypatch.setattr("embedwell.stores.postgres.lexical.FREE_MATCHES", 1)
    monkeypatch.setattr("embedwell.stores.words.FREE_MATCHES", 1)
    store.put([item(f"d{n}", ["common words" + (" rare" if n == 3 else "")]) for n in range(9)])
    assert len(store.matching("common rare", 9, ALL).ids) == 1
    assert len(store.matching("common words", 9, ALL).ids) == 9


def test_stems_find_other_forms_and_no_word_is_left_out(store):
    store.put([item("a", ["The parsers were parsing it"]), item("b", ["other"])])
    for query in ("parse", "parsed", "the", "it"):
        assert len(store.matching(query, 5, ALL).ids) == 1


def test_passages_of_any_length_are_indexed(store):
    store.put([item("a", ["word " * 300_000]), item("b", ["x" * 5_000 + " needle"])])
    assert len(store.matching("needle", 5, ALL).ids) == 1
    assert len(store.matching("word", 5, ALL).ids) == 1


def test_a_writer_that_waited_for_a_pair_to_change_is_told(store, schema):
    store.put([item("a.md", ["alpha"]), item("b.py", ["beta"], kind="code")])
    code = store.spaces.add(CODE_SPACE, "next", "", holds=CODE_ALONE).number
    ids = np.array([found.id for found in store.spaces.missing(code, 0, 9)])
    store.spaces.fill(code, ids, np.array([wide(1)]))
    main = store.spaces.main().number
    both = code_item("b.py", ["gamma"], is_in_main=True)
    with closing(PostgresStore.open(schema)) as other, ThreadPoolExecutor(1) as pool:

        def put(known):
            return pool.submit(other.put, [both], space=main, code=known)

        for change, known in (
            (lambda: store.spaces.switch(code, keep=False), None),
            (store.spaces.split, code),
        ):
            with store._database.transaction():
                change()
                late = put(known)
                assert not wait([late], 0.2).done
            with pytest.raises(SpaceMovedError):
                late.result()
        assert other.check() == []
    assert [one.chunk.text for one in store.passages("b.py")] == ["beta"]
