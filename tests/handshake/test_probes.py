"""The probe texts, and who embeds them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from drifting import build

from embedwell.core.build import BuildRecord
from embedwell.core.errors import BadTextsError, EngineError
from embedwell.core.events import Watch
from embedwell.handshake.probes import PROBES, embed_probes
from embedwell.testing import FAKE_BUILD, FakeEmbedder


def test_there_are_enough_of_each_sort():
    odd = [probe for probe in PROBES if probe.is_odd]
    assert len(PROBES) - len(odd) >= 20
    assert len(odd) >= 6
    assert {probe.kind for probe in PROBES} == {"document", "query"}
    assert len({probe.text for probe in PROBES}) == len(PROBES)
    assert max(len(probe.text.split()) for probe in PROBES) >= 300
    twins = Counter(probe.twin for probe in PROBES if probe.twin)
    assert len(twins) >= 3
    assert set(twins.values()) == {2}


def test_each_is_embedded_as_what_it_is():
    class ByKind(FakeEmbedder):
        def embed(self, texts, kind, watch):
            return super().embed([f"{kind} {text}" for text in texts], kind, watch)

    made_by, vectors = embed_probes(ByKind(), Watch())
    asked = [f"{probe.kind} {probe.text}" for probe in PROBES]
    expected = FakeEmbedder().embed(asked, "document", Watch()).vectors
    np.testing.assert_array_equal(vectors, expected)
    assert made_by == FAKE_BUILD


def test_what_fails_is_nan():
    class Failing(FakeEmbedder):
        def embed(self, texts, kind, watch):
            found = super().embed(texts, kind, watch)
            found.vectors[0] = np.nan
            raise BadTextsError({0: "it is too hard"}, found)

    _, vectors = embed_probes(Failing(), Watch())
    assert np.isnan(vectors).all(axis=1).sum() == 2  # the first document and the first query


def test_vectors_of_another_length_are_nan():
    class Short(FakeEmbedder):
        def embed(self, texts, kind, watch):
            found = super().embed(texts, kind, watch)
            return replace(found, vectors=found.vectors[:, 1:])

    _, vectors = embed_probes(Short(), Watch())
    assert vectors.shape == (len(PROBES), 32)
    assert np.isnan(vectors).all()


@dataclass
class Changing(FakeEmbedder):
    """Another build from call to call."""

    builds: list[BuildRecord] = field(default_factory=list)

    def embed(self, texts, kind, watch):
        self.build = self.builds.pop(0)
        return super().embed(texts, kind, watch)


def test_a_build_that_changes_in_between_is_asked_again():
    q8, q4 = build("q8"), build("q4")
    made_by, _ = embed_probes(Changing(builds=[q8, q4, q4, q4]), Watch())
    assert made_by == q4


def test_builds_that_keep_taking_turns_are_an_error():
    turns = [build("q8"), build("q4")] * 9
    with pytest.raises(EngineError, match=r"fake@q8 .* and fake@q4 .* took turns"):
        embed_probes(Changing(builds=turns), Watch())
