"""Documents that are put together."""

import numpy as np
import pytest
from store_samples import SETTINGS, item, signs

from embedwell.core.errors import BadVectorError
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.registry import create_store
from embedwell.stores.vectors import halves_of_all


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryStore(SETTINGS)
        return
    opened = create_store(tmp_path / "index.db", SETTINGS)
    yield opened
    opened.close()


def of(key, *texts):
    width = SETTINGS.space.dimensions
    return item(key, list(texts), [signs(at, width) for at in range(len(texts))])


def given(*items):
    return [(one, one.vectors) for one in items]


def test_of_two_of_one_key_the_last_is_stored(store):
    store.put([of("a", "first", "second"), of("b", "other"), of("a", "third")])
    assert [found.chunk.text for found in store.passages("a")] == ["third"]
    assert store.counts().chunks == 2


def test_several_are_replaced_and_others_stay(store):
    store.put([of("a", "one", "two"), of("b", "three"), of("c", "four")])
    store.put([of("c", "five"), of("a", "six")])
    texts = {key: [found.chunk.text for found in store.passages(key)] for key in "abc"}
    assert texts == {"a": ["six"], "b": ["three"], "c": ["five"]}
    assert store.check() == []


def test_a_wrong_vector_is_told_by_its_document_and_nothing_is_kept(store):
    bad = of("bad", "one", "two")
    bad.vectors[1] = np.nan
    with pytest.raises(BadVectorError, match="1 of 2 vectors"):
        store.put([of("good", "one"), bad])
    assert store.counts().documents == 0


def test_vectors_that_are_missing_are_told_by_their_document():
    short = of("short", "one", "two")
    short = type(short)(short.document, short.chunks, short.vectors[:1])
    with pytest.raises(BadVectorError, match="'short' has 2 chunks and 1 vectors"):
        halves_of_all(given(of("good", "one"), short), SETTINGS.space.dimensions)


def test_no_documents_have_no_vectors():
    assert halves_of_all([], 8).shape == (0, 8)
    assert halves_of_all(given(of("empty"), of("empty")), 16).shape == (0, 16)
