"""A build that was admitted is measured once more, later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from drifting import Drifting, Spoilt, build, fill

from embedwell.core.embedded import Embedded
from embedwell.core.errors import DriftError
from embedwell.core.events import Watch
from embedwell.handshake.admit import AdmittedEmbedder, admitted
from embedwell.handshake.probes import PROBES
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.protocol import CollectionSettings
from embedwell.testing import FAKE_SPACE, FakeEmbedder

KNOWN = {probe.text for probe in PROBES}


@dataclass
class RemembersProbes(FakeEmbedder):
    """Gives the right vectors of the probes, as a cache does, else what another gives."""

    other: FakeEmbedder | None = None

    def embed(self, texts, kind, watch: Watch) -> Embedded:
        others = self.other is not None and not KNOWN.issuperset(texts)
        return self.other.embed(texts, kind, watch) if others else super().embed(texts, kind, watch)


@pytest.fixture
def store():
    return MemoryStore(CollectionSettings(FAKE_SPACE, 40))


def proven(store: MemoryStore, embedder: FakeEmbedder) -> AdmittedEmbedder:
    found = admitted(store, store.spaces.main().number, embedder, (), "a store")
    found.greet(Watch())
    return found


def test_a_build_that_still_agrees_is_measured_anew(store):
    embedder = FakeEmbedder()
    found = proven(store, embedder)
    fill(store, embedder, 100)
    embedder.seen.clear()
    drift = found.prove_again(Watch())
    assert drift.worst == pytest.approx(0, abs=1e-6)
    assert KNOWN.issubset(embedder.seen)
    assert len(embedder.seen) == len(PROBES) + 64


def test_a_store_without_chunks_has_probes_alone(store):
    assert proven(store, FakeEmbedder()).prove_again(Watch()).mean == pytest.approx(0, abs=1e-6)


def test_a_build_whose_probes_drift_by_now_is_refused(store):
    found = proven(store, FakeEmbedder())
    found.unproven = Drifting(noise=0.5, build=build("q8"))
    with pytest.raises(DriftError, match="probe texts"):
        found.prove_again(Watch())


@pytest.mark.parametrize("other", [Drifting(noise=4.0), Spoilt(), Spoilt(value=0.0)])
def test_what_a_cache_remembers_of_the_probes_proves_nothing(store, other):
    fill(store, FakeEmbedder(), 100)
    found = proven(store, FakeEmbedder())
    found.unproven = RemembersProbes(other=other)
    with pytest.raises(DriftError):
        found.prove_again(Watch())


def test_stored_chunks_of_which_others_are_to_blame_refuse_nobody(store):
    found = proven(store, FakeEmbedder())
    fill(store, FakeEmbedder(), 100)
    rows = store.spaces.rows(found.number)
    for chunk in list(rows)[30:]:  # something else wrote these
        rows[chunk] = np.roll(rows[chunk], 5)
    assert found.prove_again(Watch()).worst == pytest.approx(0, abs=1e-6)
