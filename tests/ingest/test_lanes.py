"""Which space a document goes to, and who measures it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from embedwell.core.events import Watch
from embedwell.handshake.admit import admitted
from embedwell.ingest.embed import fill
from embedwell.ingest.lanes import Lane, Lanes, lanes_of
from embedwell.ingest.prepare import Prepared
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.protocol import CodeSpace, CollectionSettings, Document, StoredChunk
from embedwell.testing import FAKE_SPACE, FakeEmbedder

CODE = replace(FAKE_SPACE, model="coder", dimensions=16)


class Letters(FakeEmbedder):
    """Every letter is a token."""

    def token_starts(self, text):
        return np.arange(len(text))


def prepared(text, kind):
    chunk = StoredChunk(0, len(text), 1, 1, "", text, f"hash of {text}")
    return Prepared(Document(f"{text}.x", 1, 1, "", kind, ""), [chunk], [text])


def pair(*, hybrid):
    store = MemoryStore(CollectionSettings(FAKE_SPACE, 40, "", CodeSpace(CODE, hybrid=hybrid)))
    main, code = store.spaces.all()
    embedders = {
        "main": admitted(store, main.number, FakeEmbedder(FAKE_SPACE), (), "a test"),
        "code": admitted(store, code.number, FakeEmbedder(CODE), (), "a test"),
    }
    return store, lanes_of(store, lambda role="main": embedders[role])


def test_a_store_with_one_space_has_one_lane():
    store = MemoryStore(CollectionSettings(FAKE_SPACE, 40))
    main = admitted(store, store.spaces.main().number, FakeEmbedder(), (), "a test")
    lanes = lanes_of(store, lambda role="main": main)
    assert (len(lanes.all), lanes.code_number) == (1, None)
    assert len(lanes.token_starts("code")("one two")) == 2


def test_each_kind_is_measured_by_its_own_model_and_both_by_the_finer():
    text, code = FakeEmbedder(), Letters()
    split = Lanes(Lane(text, ("text",)), Lane(code, ("code",)))
    assert len(split.token_starts("text")("one two")) == 2
    assert len(split.token_starts("code")("one two")) == 7
    hybrid = Lanes(Lane(text), Lane(code, ("code",)))
    assert len(hybrid.token_starts("code")("one two")) == 7
    assert len(hybrid.token_starts("text")("one two")) == 2


def test_documents_get_vectors_of_the_spaces_that_hold_their_kind():
    for hybrid in (False, True):
        store, lanes = pair(hybrid=hybrid)
        batch = [prepared("words", "text"), prepared("source", "code")]
        filled = fill(batch, lanes, store, Watch())
        text, code = filled.documents
        assert (text.vectors.shape, text.code_vectors) == ((1, 32), None)
        assert code.vectors.shape == ((1, 32) if hybrid else (0, 32))
        assert code.code_vectors.shape == (1, 16)
        assert filled.n_embedded == (3 if hybrid else 2)
        store.put(filled.documents, space=lanes.main.embedder.number, code=lanes.code_number)
        again = fill(batch, lanes, store, Watch())
        assert (again.n_embedded, again.n_reused) == (0, filled.n_embedded)
