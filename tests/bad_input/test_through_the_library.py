"""Odd texts and files, through the index job and the records, without a model."""

from __future__ import annotations

import numpy as np
import pytest

from embedwell.jobs.records import Record, add_records
from embedwell.stores.protocol import CollectionSettings, Filter
from embedwell.stores.registry import create_store
from embedwell.testing import FAKE_SPACE, FakeEmbedder, admitted_fake
from one_folder import index_folder


@pytest.fixture
def store(tmp_path):
    opened = create_store(tmp_path / "index.db", CollectionSettings(FAKE_SPACE, 60))
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "folder"
    place.mkdir()
    return place


def passages(store):
    near = store.nearest(np.eye(1, 32, dtype=np.float32)[0], 100_000, Filter())
    return [found.chunk.text for found in store.chunks(near.ids.tolist())]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t ", []),
        ("a\0b", ["a\ufffdb"]),
        ("lone \ud800 surrogate", ["lone \ufffd surrogate"]),
        ("emoji 👩‍👩‍👧 and é combining", ["emoji 👩‍👩‍👧 and é combining"]),
    ],
)
def test_odd_records_are_kept_beside_good_ones(store, text, words):
    records = [Record("odd", text, {}), Record("good", "a good one", {})]
    add_records(records, store, lambda: admitted_fake(store))
    assert sorted(passages(store)) == sorted([*words, "a good one"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_french_is_read_in_the_encodings_that_people_have(folder, store, encoding):
    text = "Le vélo d'été coûte 12 € à Nîmes, œuvre d'un garçon naïf."
    (folder / "note.txt").write_bytes(text.encode(encoding))
    report = index_folder(folder, store, lambda: admitted_fake(store))
    assert not report.failed
    assert passages(store) == [text]


def test_a_line_of_10_mb_is_left_out_and_with_a_higher_limit_cut(folder, store):
    (folder / "minified.txt").write_text("token " * 1_700_000)
    (folder / "good.md").write_text("a good one")
    report = index_folder(folder, store, lambda: admitted_fake(store))
    assert [thing.key for thing in report.skipped] == ["minified.txt"]
    assert passages(store) == ["a good one"]
    report = index_folder(folder, store, lambda: admitted_fake(store), 6.0)
    assert (report.n_added, report.n_truncated) == (1, 0)
    assert sum(passage.count("token") for passage in passages(store)) == 1_700_000


def test_a_document_of_100_000_tokens_is_wholly_searchable(folder, store):
    words = [f"w{number}" for number in range(100_000)]
    (folder / "long.txt").write_text(" ".join(words))
    embedder = FakeEmbedder()
    report = index_folder(folder, store, lambda: admitted_fake(store, embedder))
    assert report.n_truncated == 0
    assert sorted(word for passage in passages(store) for word in passage.split()) == sorted(words)
    found = store.matching("w99999", 1, Filter())
    assert "w99999" in store.chunks(found.ids.tolist())[0].chunk.text
