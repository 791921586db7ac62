"""Vectors beside the rows that they come from."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from embedwell.app.config.settings import Settings
from embedwell.app.indexes.index import Index
from embedwell.app.indexes.requests import AgainRequest, QueryRequest
from embedwell.core.errors import QueueError, StoreError, StoreNotFoundError
from embedwell.jobs.write_back import mean_vector
from embedwell.stores.registry import open_store, open_vectors
from embedwell.stores.rows import VectorPlace
from embedwell.testing import FAKE_SPACE, FakeEmbedder


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, text TEXT, vector BLOB)")
        database.execute("INSERT INTO things VALUES (1, 'a lamp', NULL), (2, ' ', NULL)")
        database.executemany(
            "INSERT INTO things VALUES (?, ?, NULL)",
            [(3, "one two " * 200), (4, "a box")],
        )
        yield database


@pytest.fixture
def index(store, tmp_path):
    store.close()
    file, space = tmp_path / "index.db", FAKE_SPACE
    settings = Settings(model=space.model)
    with Index(file, open_store(file), settings, connect=lambda s, w: FakeEmbedder()) as opened:
        yield opened


def request(tmp_path, back="things.vector", key="") -> QueryRequest:
    query = "SELECT id, text FROM things"
    file = str(tmp_path / "shop.sqlite")
    return QueryRequest(file, query, "shop", write_back=back, key=key)


def vectors(shop):
    rows = shop.execute("SELECT id, vector FROM things ORDER BY id").fetchall()
    return {key: None if blob is None else np.frombuffer(blob, "<f4") for key, blob in rows}


def test_each_row_gets_the_mean_of_its_chunks(index, shop, tmp_path):
    index.ingest(request(tmp_path))
    found = vectors(shop)
    assert found[2] is None
    assert all(abs(np.linalg.norm(found[key]) - 1) < 1e-5 for key in (1, 3, 4))
    chunks = [one.chunk.embedded_sha256 for one in index.store.passages("3")]
    assert len(chunks) > 1
    known = index.store.known_vectors(chunks)
    assert np.allclose(found[3], mean_vector([known[name] for name in chunks]))


def test_it_goes_on_and_mends_what_somebody_changed(index, shop, tmp_path):
    index.ingest(request(tmp_path))
    before = vectors(shop)
    shop.execute("UPDATE things SET vector = NULL WHERE id = 1")
    shop.execute("UPDATE things SET text = 'a chair' WHERE id = 4")
    index.ingest(AgainRequest("shop"))
    after = vectors(shop)
    assert np.array_equal(before[1], after[1])
    assert not np.array_equal(before[4], after[4])


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("things.nothing", ""), "no column 'nothing'"),
        (("nothing.vector", ""), "no column 'vector'"),
        (("things.vector", "sku"), "no column 'sku'"),
        (("things", ""), "Write it as TABLE.COLUMN"),
        (("things.text", ""), "holds values of length"),
    ],
)
def test_a_column_that_cannot_be_used_is_refused_before_the_work(index, shop, tmp_path, names, why):
    with pytest.raises(QueueError, match=why):
        index.ingest(request(tmp_path, *names))
    assert index.counts().documents == 0


def test_a_column_of_another_dimension_is_refused(index, shop, tmp_path):
    shop.execute("UPDATE things SET vector = ? WHERE id = 1", [b"\0" * 64])
    with pytest.raises(QueueError, match="vectors of 32 dimensions are blobs of 128 bytes"):
        index.ingest(request(tmp_path))


def test_columns_in_a_server_are_the_matter_of_another_command():
    with pytest.raises(QueueError, match="embedwell migrate --table things --column vector"):
        open_vectors("postgresql://host/db", VectorPlace("things", "vector", "id"), 32)


def test_a_file_that_is_not_there_or_is_held(tmp_path, shop):
    place = VectorPlace("things", "vector", "id")
    with pytest.raises(StoreNotFoundError):
        open_vectors(tmp_path / "none.sqlite", place, 32)
    (tmp_path / "text.sqlite").write_text("this is no database, and long enough to be seen so")
    with pytest.raises(StoreError, match="could not be written"):
        open_vectors(tmp_path / "text.sqlite", place, 32)
    with closing(open_vectors(tmp_path / "shop.sqlite", place, 32)) as column:
        shop.execute("DROP TABLE things")
        with pytest.raises(StoreError, match="could not be written"):
            column.write([("1", b"")])


def test_the_mean_of_nothing_and_of_opposites_is_none():
    up = np.array([0.0, 1.0], np.float32)
    assert mean_vector([]) is None
    assert mean_vector([up, -up]) is None
