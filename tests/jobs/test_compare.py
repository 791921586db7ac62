"""What a comparison finds, and that it never cries wolf."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from drifting import Drifting, Spoilt, build, fill

from embedwell.core.errors import SpaceMismatchError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.handshake.probes import NAME, embed_probes
from embedwell.jobs.compare import as_debug_json, as_json, check_vectors_of, compare
from embedwell.jobs.comparison import Health
from embedwell.stores.spaces import Reference
from embedwell.testing import FAKE_BUILD, FAKE_SPACE, FakeEmbedder, admitted_fake

QUERY = "river stone bread"


@pytest.fixture
def filled(store):
    """A store of 100 passages with their proof."""
    admitted_fake(store)
    fill(store, FakeEmbedder(), 100)
    return store


def stored(store):
    ids = store.spaces.sample(1, 1000)
    return store.spaces.vectors(1, ids)


def spoil(store, vectors, monkeypatch):
    """The store gives these vectors first; no sound store would have taken them."""
    real = store.spaces.vectors

    def found(number, ids):
        rows = real(number, ids)
        rows[: len(vectors)] = vectors[: len(rows)]
        return rows

    monkeypatch.setattr(store.spaces, "vectors", found)


def test_the_distances_are_those_of_all_stored_vectors(filled):
    found = compare(filled, 1, FakeEmbedder(), QUERY)
    vectors = stored(filled)
    query = FakeEmbedder().embed([QUERY], "query", Watch()).vectors[0]
    expected = 1 - vectors @ query / np.linalg.norm(vectors, axis=1)
    assert found.distances.least == pytest.approx(expected.min(), abs=1e-5)
    assert found.distances.most == pytest.approx(expected.max(), abs=1e-5)
    assert found.distances.average == pytest.approx(expected.mean(), abs=1e-5)
    assert found.distances.under == {at: int((expected < at).sum()) for at in (0.3, 0.5, 0.7, 0.9)}
    at = int(expected.argmin())
    assert found.distances.nearest.chunk.start_line == at + 1
    np.testing.assert_array_equal(found.distances.nearest_vector, vectors[at])


def test_a_sound_store_and_its_own_model_agree(filled):
    found = compare(filled, 1, FakeEmbedder(), QUERY)
    assert found.ok
    assert found.again.n == 32
    assert found.again.worst < 1e-5
    assert found.drift.mean < 1e-6
    assert "agree" in found.verdict
    assert (found.build, found.written_by) == (FAKE_BUILD, FAKE_BUILD)
    assert found.health == Health(n_vectors=100, n_null=0, n_zero=0, n_nan=0)


def test_a_query_about_something_else_is_no_fault(filled):
    found = compare(filled, 1, FakeEmbedder(), "supercalifragilistic umbrella")
    assert found.ok
    assert found.distances.least > 0.3
    assert "normal" in found.verdict


def test_without_a_query_the_rest_is_compared(filled):
    found = compare(filled, 1, FakeEmbedder())
    assert found.distances is None
    assert found.ok
    assert found.again.n == 32


def test_a_build_that_drifts_is_compared_and_told(filled):
    drifting = Drifting(build=build("q4"), noise=1.0)
    found = compare(filled, 1, drifting, QUERY, n_sample=8)
    assert not found.ok
    assert found.build == drifting.build
    assert found.drift.mean > 0.01
    assert found.again.n == 8
    assert found.again.drift.mean > 0.04
    assert "fake@q4" in found.verdict
    assert "drift on the probe texts" in found.verdict
    assert filled.spaces.admission(1, drifting.build.key) is None


def test_what_an_admitted_embedder_wraps_is_compared(filled):
    assert compare(filled, 1, admitted_fake(filled), QUERY).ok


def test_vectors_that_something_else_wrote_are_found_though_the_build_is_admitted(store):
    admitted_fake(store)
    fill(store, Drifting(noise=2.0), 50)
    found = compare(store, 1, FakeEmbedder(), QUERY)
    assert found.drift.worst < 1e-6
    assert not found.ok
    assert "something else wrote them" in found.verdict
    assert "a.md:" in found.verdict


def test_builds_that_are_each_admitted_are_no_fault(store):
    admitted_fake(store)
    fill(store, Drifting(noise=0.1), 50)
    assert compare(store, 1, Drifting(build=build("q8"), noise=0.05), QUERY).ok


def test_broken_vectors_are_counted_by_what_they_are(filled, monkeypatch):
    rows = np.ones((3, 32), np.float32)
    rows[0], rows[1, 3], rows[2] = 0, np.nan, np.inf
    spoil(filled, rows, monkeypatch)
    found = compare(filled, 1, FakeEmbedder(), QUERY)
    assert (found.health.n_zero, found.health.n_nan) == (1, 2)
    assert found.again.n == 29
    assert "all zero" in found.verdict
    assert "NaN" in found.verdict


def test_passages_without_a_vector_are_counted(filled):
    light = filled.spaces.add(FAKE_SPACE, "light", "")
    found = compare(filled, light.number, FakeEmbedder(), QUERY)
    assert found.health.n_null == 100
    assert (found.again, found.distances, found.drift) == (None, None, None)
    assert "100 passages have no vector" in found.verdict


def test_an_empty_store_is_no_fault(store):
    found = compare(store, 1, FakeEmbedder(), QUERY)
    assert found.ok
    assert "no vectors yet" in found.verdict
    assert store.spaces.reference(1) is None


@pytest.mark.parametrize("proven", [True, False])
def test_a_model_that_gives_no_vectors_is_told(store, proven):
    if proven:
        admitted_fake(store)
    fill(store, FakeEmbedder(), 20)
    found = compare(store, 1, Spoilt(), QUERY)
    assert not found.ok
    assert found.distances is None
    assert "vector" in found.verdict
    json.dumps(as_json(found), allow_nan=False)
    assert as_debug_json(found, 1.0)["success"] is False


def test_another_space_is_refused(filled):
    with pytest.raises(SpaceMismatchError):
        compare(filled, 1, FakeEmbedder(replace(FAKE_SPACE, pooling="cls")), QUERY)


def test_it_can_be_stopped(filled):
    watch = Watch()
    watch.cancelled.set()
    with pytest.raises(TaskCancelledError):
        compare(filled, 1, FakeEmbedder(), QUERY, watch=watch)


def test_as_json_everything_is_there_but_the_vectors(filled):
    found = as_json(compare(filled, 1, FakeEmbedder(), QUERY))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["ok"] is True
    assert found["distances"]["under"].keys() == {"0.3", "0.5", "0.7", "0.9"}
    assert found["distances"]["nearest"].startswith("a.md:")
    assert found["embedded_again"]["n"] == 32
    assert found["vectors"] == {"looked_at": 100, "null": 0, "zero": 0, "nan": 0}
    assert found["written_by"]["artifact"] == found["asked_by"]["artifact"] == "fake@q32"


def test_the_shape_that_existing_tools_read(filled):
    found = as_debug_json(compare(filled, 1, FakeEmbedder(), QUERY), 12.3456)
    assert list(found) == [
        "success",
        "query",
        "backend_embedding_dims",
        "processing_time_ms",
        "comparison_stats",
        "distance",
        "backend_embedding",
        "stored_embedding",
    ]
    assert list(found["comparison_stats"]) == [
        "total_docs",
        "distance_min",
        "distance_max",
        "distance_avg",
        "count_threshold_0.3",
        "count_threshold_0.5",
        "count_threshold_0.7",
        "count_threshold_0.9",
    ]
    assert found["success"] is True
    assert (found["query"], found["backend_embedding_dims"]) == (QUERY, 32)
    assert found["processing_time_ms"] == pytest.approx(12.346)
    mine, nearest = np.array(found["backend_embedding"]), np.array(found["stored_embedding"])
    cosine = mine @ nearest / np.linalg.norm(mine) / np.linalg.norm(nearest)
    assert found["distance"] == pytest.approx(1 - cosine, abs=1e-5)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_doctor_finds_a_damaged_proof(store):
    assert check_vectors_of(store, 1) == []
    vectors = embed_probes(FakeEmbedder(), Watch())[1]
    store.spaces.refer(1, Reference(NAME, vectors[:3], FAKE_BUILD))
    (fault,) = check_vectors_of(store, 1)
    assert "damaged" in fault


def test_the_doctor_embeds_a_sample_again_if_asked(filled):
    assert check_vectors_of(filled, 1) == []
    assert check_vectors_of(filled, 1, FakeEmbedder()) == []
    faults = check_vectors_of(filled, 1, Drifting(build=build("q4"), noise=1.0))
    assert any("fake@q4" in fault for fault in faults)
