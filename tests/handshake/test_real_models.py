"""The real model's quantizations read each other's stores where they may."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from embedwell.core.errors import DriftError
from embedwell.core.events import Watch
from embedwell.engines.registry import open_engine
from embedwell.handshake.admit import admitted
from embedwell.handshake.drift import BOUNDS, WIDE, measure, nonsense
from embedwell.handshake.probes import PROBES, embed_probes
from embedwell.runtime.embedder import LocalEmbedder
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.protocol import CollectionSettings

LEVELS = ("q4", "q8", "q16", "q32")


@pytest.fixture(scope="module")
def embedders(real_artifact):
    artifacts = {level: real_artifact(level) for level in LEVELS}
    made = {
        level: LocalEmbedder(artifact, open_engine(artifact, 1))
        for level, artifact in artifacts.items()
    }
    yield made
    for embedder in made.values():
        embedder.close()


@pytest.fixture(scope="module")
def vectors(embedders):
    return {level: embed_probes(embedder, Watch())[1] for level, embedder in embedders.items()}


@pytest.mark.parametrize(("writer", "reader"), [*itertools.permutations(("q8", "q16", "q32"), 2)])
def test_the_good_quantizations_are_admitted_with_room(vectors, writer, reader):
    found = measure(vectors[writer], vectors[reader], PROBES)
    assert found.mean < BOUNDS.mean / 5
    assert found.worst < BOUNDS.worst / 10
    assert found.scatter < BOUNDS.scatter / 2
    assert found.odd_worst < BOUNDS.odd_worst / 10


@pytest.mark.parametrize("writer", ["q8", "q16", "q32"])
def test_four_bits_are_let_in_by_name_only(vectors, writer):
    for a, b in ((writer, "q4"), ("q4", writer)):
        found = measure(vectors[a], vectors[b], PROBES)
        assert not found.within(BOUNDS)
        assert found.within(WIDE)


def test_each_makes_sense_as_a_first_writer(vectors):
    assert all(nonsense(found, PROBES) == "" for found in vectors.values())


def test_q8_and_q32_read_each_others_stores_and_q4_does_not(embedders):
    for writer, reader in (("q32", "q8"), ("q8", "q32")):
        store = MemoryStore(CollectionSettings(embedders[writer].space, 200))
        for level in (writer, reader):
            admitted(store, 1, embedders[level], (), "a.db").embed(["text"], "document", Watch())
        with pytest.raises(DriftError, match=r"all-MiniLM-L6-v2@q4"):
            admitted(store, 1, embedders["q4"], (), "a.db").embed(["text"], "query", Watch())


def test_two_engines_read_each_others_stores(embedders, real_artifact):
    pytest.importorskip("openvino")
    artifact = replace(real_artifact("q32"), engine="openvino")
    other = LocalEmbedder(artifact, open_engine(artifact, 1))
    try:
        for writer, reader in ((embedders["q32"], other), (other, embedders["q8"])):
            store = MemoryStore(CollectionSettings(writer.space, 200))
            for one in (writer, reader):
                admitted(store, 1, one, (), "a.db").embed(["text"], "document", Watch())
            assert len({one.build.engine for one in store.spaces.admissions(1)}) == 2
    finally:
        other.close()


def test_the_probes_stay_cheap(embedders):
    texts = [probe.text for probe in PROBES]
    space = embedders["q8"].space
    n_tokens = embedders["q8"].embed(texts, "document", Watch()).n_tokens
    assert n_tokens.max() > space.max_tokens  # a reader that cuts elsewhere is seen
    assert n_tokens.clip(max=space.max_tokens).sum() <= 1300
