"""Each build is measured before its vectors go into an application's column."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from embedwell.core.errors import BadVectorError, DriftError, EngineError
from embedwell.core.events import Watch
from embedwell.handshake.column import ColumnEmbedder
from embedwell.testing import FAKE_BUILD, FAKE_SPACE, FakeEmbedder

TEXTS = ["a ferry at noon", "a lamp of amber"]


class Changed(FakeEmbedder):
    """Gives other vectors than the fake."""

    change = staticmethod(lambda vectors: vectors)

    def embed(self, texts, kind, watch):
        found = super().embed(texts, kind, watch)
        return replace(found, vectors=self.change(found.vectors))


def changed(change, **build) -> Changed:
    embedder = Changed(FAKE_SPACE, replace(FAKE_BUILD, **build))
    embedder.change = change
    return embedder


def of(embedder, reference=None, kept=None, accept=()):
    def refer(first):
        if kept is not None:
            kept.append(first)
        return first

    return ColumnEmbedder(embedder, reference, refer, accept, "app.notes.embedding")


@pytest.fixture
def reference():
    kept = []
    of(FakeEmbedder(), kept=kept).embed(TEXTS, Watch())
    return kept[0]


def noisy(vectors):
    noise = np.random.default_rng(1).standard_normal(vectors.shape).astype(np.float32)
    return vectors + 0.04 * noise


def test_the_first_build_leaves_its_probes_and_the_same_one_is_measured_once(reference):
    assert reference.build == FAKE_BUILD
    fake = FakeEmbedder(build=replace(FAKE_BUILD, native="another"))
    column = of(fake, reference)
    first = column.embed(TEXTS, Watch())
    n_seen = len(fake.seen)
    np.testing.assert_array_equal(column.embed(TEXTS, Watch()), first)
    assert len(fake.seen) == n_seen + len(TEXTS)


def test_vectors_of_another_length_than_1_are_brought_to_it(reference):
    column = of(changed(lambda vectors: 3 * vectors), reference)
    lengths = np.linalg.norm(column.embed(TEXTS, Watch()), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    assert column.embed([], Watch()).shape == (0, FAKE_SPACE.dimensions)


def test_a_build_that_drifts_is_refused_unless_it_is_accepted_by_name(reference):
    other = {"artifact": "fake@q4", "native": "another"}
    with pytest.raises(DriftError, match=r"begun by fake@q32 .* and fake@q4 .* gives others"):
        of(changed(noisy, **other), reference).embed(TEXTS, Watch())
    accepted = of(changed(noisy, **other), reference, accept=("fake@q4",))
    assert accepted.embed(TEXTS, Watch()).shape == (2, FAKE_SPACE.dimensions)


def test_a_first_build_that_gives_nonsense_is_refused():
    kept = []
    with pytest.raises(BadVectorError, match="cannot be right"):
        of(changed(np.zeros_like), kept=kept).embed(TEXTS, Watch())
    assert not kept


def test_a_build_that_never_stays_is_given_up(reference):
    class Restless(FakeEmbedder):
        def embed(self, texts, kind, watch):
            if list(texts) == TEXTS:
                self.build = replace(FAKE_BUILD, native=f"{len(self.seen)}")
                found = super().embed(texts, kind, watch)
                self.build = FAKE_BUILD
                return found
            return super().embed(texts, kind, watch)

    with pytest.raises(EngineError, match="changed 4 times in a row"):
        of(Restless(), reference).embed(TEXTS, Watch())
