"""Who may write to a space and compare with its vectors."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from drifting import Drifting, Spoilt, build, fill

from embedwell.core.build import BuildRecord
from embedwell.core.errors import (
    BadTextsError,
    BadVectorError,
    DriftError,
    EngineError,
    NewerStoreError,
    SpaceMismatchError,
    SpaceMovedError,
    StoreError,
    StoreReadOnlyError,
)
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.handshake.admit import admitted, check_declaration
from embedwell.handshake.probes import NAME, PROBES, embed_probes
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.protocol import CollectionSettings
from embedwell.stores.registry import create_store
from embedwell.stores.spaces import Reference, StoredSpace
from embedwell.testing import FAKE_BUILD, FAKE_SPACE, FakeEmbedder

MINILM = Space("all-MiniLM-L6-v2", "c9745ed1", "mean", True, "", "", 256, 384)
STORED = StoredSpace(1, MINILM, "main", "embedwell 0.1.0, all-MiniLM-L6-v2@q8")


@pytest.fixture(params=["sqlite", "memory"])
def store(request, tmp_path):
    settings = CollectionSettings(FAKE_SPACE, 40, "a test")
    if request.param == "memory":
        made = MemoryStore(settings)
    else:
        made = create_store(tmp_path / "index.db", settings)
    yield made
    made.close()


def ask(store, embedder, *, accept_drift=(), text="a question", kind="query"):
    """What an admitted embedder gives for a text."""
    wrapped = admitted(store, 1, embedder, accept_drift, "notes.db")
    return wrapped.embed([text], kind, Watch())


def names(store):
    return [admission.build.artifact for admission in store.spaces.admissions(1)]


# The declaration


def test_the_same_declaration_passes():
    check_declaration(STORED, replace(MINILM))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "other"),
        ("revision", "2"),
        ("pooling", "cls"),
        ("normalized", False),
        ("query_prompt", "query: "),
        ("document_prompt", "passage: "),
        ("max_tokens", 128),
        ("dimensions", 768),
    ],
)
def test_each_field_that_differs_is_named_with_both_values(field, value):
    with pytest.raises(SpaceMismatchError) as caught:
        check_declaration(STORED, replace(MINILM, **{field: value}))
    problem = caught.value.problem
    assert f"{field}: {getattr(MINILM, field)!r} in the index, {value!r} asked" in problem
    assert problem.count(" in the index, ") == 1
    assert "embedwell 0.1.0, all-MiniLM-L6-v2@q8" in problem
    assert MINILM.id[:12] in problem
    assert "--model all-MiniLM-L6-v2" in caught.value.remedy
    assert "--db FILE" in caught.value.remedy


def test_a_code_space_asks_for_the_option_that_names_its_model():
    with pytest.raises(SpaceMismatchError) as caught:
        check_declaration(replace(STORED, role="code"), replace(MINILM, dimensions=3))
    assert "--code-model all-MiniLM-L6-v2" in caught.value.remedy


def test_an_index_of_unknown_making_is_refused_too():
    with pytest.raises(SpaceMismatchError, match="dimensions"):
        check_declaration(replace(STORED, made_by=""), replace(MINILM, dimensions=3))


def test_another_declaration_is_refused_before_anything_is_embedded(store):
    embedder = FakeEmbedder(replace(FAKE_SPACE, pooling="cls"))
    with pytest.raises(SpaceMismatchError, match="pooling"):
        admitted(store, 1, embedder, (), "notes.db")
    assert embedder.seen == []


# The first writer


def test_the_first_writers_probes_become_the_reference(store):
    ask(store, FakeEmbedder())
    reference = store.spaces.reference(1)
    assert (reference.probes, reference.build) == (NAME, FAKE_BUILD)
    np.testing.assert_array_equal(reference.vectors, embed_probes(FakeEmbedder(), Watch())[1])
    (admission,) = store.spaces.admissions(1)
    assert (admission.drift_mean, admission.drift_worst, admission.accepted) == (0, 0, "")


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 0.5])
def test_a_first_writer_of_nonsense_is_refused(store, value):
    with pytest.raises(BadVectorError, match="cannot be right"):
        ask(store, Spoilt(value=value))
    assert store.spaces.reference(1) is None


def test_of_two_first_writers_the_second_is_measured_against_the_first(store, monkeypatch):
    other = Drifting(build=build("q4"), noise=1.0)
    refer = store.spaces.refer

    def late(number, reference):
        refer(number, Reference(NAME, embed_probes(FakeEmbedder(), Watch())[1], FAKE_BUILD))
        return refer(number, reference)

    monkeypatch.setattr(store.spaces, "refer", late)
    with pytest.raises(DriftError, match="written by fake@q32"):
        ask(store, other)
    assert ask(store, Drifting(build=build("q8"), noise=0.01)).build.quantization == "q8"
    assert store.spaces.reference(1).build == FAKE_BUILD


# Those who come later


def test_a_build_that_agrees_is_measured_once_and_recorded(store):
    ask(store, FakeEmbedder())
    first = Drifting(build=build("q8"), noise=0.02)
    wrapped = admitted(store, 1, first, (), "notes.db")
    wrapped.embed(["one"], "query", Watch())
    wrapped.embed(["two"], "query", Watch())
    assert len(first.seen) == 2 + len(PROBES)
    recorded = store.spaces.admission(1, first.build.key)
    assert 0 < recorded.drift_mean < 0.01
    assert recorded.drift_mean <= recorded.drift_worst < 0.03
    again = Drifting(build=replace(first.build, host="elsewhere"), noise=0.02)
    ask(store, again)
    assert again.seen == ["a question"]


def test_a_build_that_drifts_is_refused_before_its_vectors_are_handed_out(store):
    ask(store, FakeEmbedder())
    for _ in range(2):
        with pytest.raises(DriftError):
            ask(store, Drifting(build=build("q4"), noise=0.5))
    assert names(store) == ["fake@q32"]


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_build_that_gives_no_vectors_is_refused(store, value):
    ask(store, FakeEmbedder())
    with pytest.raises(DriftError, match="NaN, infinite or zero") as caught:
        ask(store, Spoilt(build=build("q4"), value=value), accept_drift=["fake@q4"])
    assert caught.value.details["drift"]["mean"] is None
    assert caught.value.details["drift"]["unusable"] == len(PROBES)


def test_documents_and_queries_are_measured_apart(store):
    class WithoutPrompt(FakeEmbedder):
        def embed(self, texts, kind, watch):
            prompt = "find this passage please " if kind == "query" else ""
            return super().embed([prompt + text for text in texts], kind, watch)

    ask(store, WithoutPrompt())
    with pytest.raises(DriftError) as caught:
        ask(store, FakeEmbedder(build=build("q8")), kind="document")
    worst = caught.value.details["worst_text"]
    assert next(probe.kind for probe in PROBES if probe.text == worst) == "query"


def test_nothing_is_asked_for_nothing(store):
    embedder = FakeEmbedder()
    admitted(store, 1, embedder, (), "notes.db").embed([], "document", Watch())
    assert embedder.seen == []
    assert store.spaces.reference(1) is None


def test_vectors_of_another_length_than_one_are_brought_to_it(store):
    class Long(FakeEmbedder):
        def embed(self, texts, kind, watch):
            found = super().embed(texts, kind, watch)
            return replace(found, vectors=3 * found.vectors)

    ask(store, FakeEmbedder())
    np.testing.assert_allclose(
        ask(store, Long(build=build("q8"))).vectors, ask(store, FakeEmbedder()).vectors, atol=1e-6
    )


def test_a_text_that_fails_is_told_after_the_handshake(store):
    class Failing(FakeEmbedder):
        def embed(self, texts, kind, watch):
            found = super().embed(texts, kind, watch)
            if texts == ["bad"]:
                raise BadTextsError({0: "it is too hard"}, found)
            return found

    with pytest.raises(BadTextsError):
        ask(store, Failing(), text="bad")
    assert names(store) == ["fake@q32"]
    with pytest.raises(DriftError):
        ask(store, type("FailingDrift", (Drifting, Failing), {})(build=build("q4"), noise=1.0))


def test_the_rest_is_passed_on(store):
    class Closing(FakeEmbedder):
        closed = False

        def close(self):
            self.closed = True

    embedder = Closing()
    wrapped = admitted(store, 1, embedder, (), "notes.db")
    assert wrapped.space == FAKE_SPACE
    assert wrapped.number == 1
    assert wrapped.unproven is embedder
    assert wrapped.token_starts("one two").tolist() == [0, 4]
    wrapped.close()
    assert embedder.closed


# Builds that change while they are asked


@dataclass
class Turning(Drifting):
    """Another build from some call on, as when a service goes away."""

    later: BuildRecord = field(default_factory=lambda: build("q8"))
    later_noise: float = 0.02
    calls: int = 1

    def embed(self, texts, kind, watch):
        if self.calls == 0:
            self.build, self.noise = self.later, self.later_noise
        self.calls -= 1
        return super().embed(texts, kind, watch)


def test_vectors_of_a_build_that_went_away_unmeasured_are_computed_again(store):
    ask(store, FakeEmbedder())
    found = ask(store, Turning(build=build("q4"), noise=1.0, calls=1))
    assert found.build.quantization == "q8"
    assert names(store) == ["fake@q32", "fake@q8"]


def test_a_build_that_comes_later_is_measured_before_its_vectors_are_handed_out(store):
    ask(store, FakeEmbedder())
    embedder = Turning(build=build("q16"), later_noise=1.0, calls=3)
    wrapped = admitted(store, 1, embedder, (), "notes.db")
    assert wrapped.embed(["one"], "query", Watch()).build.quantization == "q16"
    with pytest.raises(DriftError, match="fake@q8"):
        wrapped.embed(["two"], "query", Watch())


def test_a_build_that_never_stays_is_an_error(store):
    class Restless(FakeEmbedder):
        n = 0

        def embed(self, texts, kind, watch):
            if len(texts) == 1:
                self.n += 1
                self.build = build("q8", engine=f"engine {self.n}")
                found = super().embed(texts, kind, watch)
                self.build = build("q8", engine=f"engine {-self.n}")
                return found
            return super().embed(texts, kind, watch)

    with pytest.raises(EngineError, match="changed 4 times"):
        ask(store, Restless())


# Drift that is accepted by name


def test_drift_is_accepted_by_the_artifacts_name_and_recorded(store):
    ask(store, FakeEmbedder())
    drifting = Drifting(build=build("q4"), noise=0.2)
    with pytest.raises(DriftError) as caught:
        ask(store, drifting, accept_drift=["fake@q8"])
    assert "accept_drift = fake@q4" in caught.value.remedy
    ask(store, drifting, accept_drift=["fake@q8", "fake@q4"])
    assert store.spaces.admission(1, drifting.build.key).accepted == "fake@q4"
    ask(store, drifting, accept_drift=["fake@q4"])
    with pytest.raises(DriftError):
        ask(store, drifting)


def test_what_is_within_the_bounds_needs_no_acceptance(store):
    ask(store, FakeEmbedder())
    drifting = Drifting(build=build("q8"), noise=0.02)
    ask(store, drifting, accept_drift=["fake@q8"])
    assert store.spaces.admission(1, drifting.build.key).accepted == ""


def test_acceptance_has_an_end(store):
    ask(store, FakeEmbedder())
    with pytest.raises(DriftError) as caught:
        ask(store, Drifting(build=build("q4"), noise=1.0), accept_drift=["fake@q4"])
    assert "accept_drift" not in caught.value.remedy


# Indexes without a proof


def test_stored_chunks_prove_a_build_where_there_is_no_reference(store):
    fill(store, FakeEmbedder(), 40)
    embedder = Drifting(build=build("q8"), noise=0.02)
    ask(store, embedder)
    assert sum(text.startswith("Title\n") for text in embedder.seen) == 16
    assert store.spaces.reference(1).build == embedder.build
    with pytest.raises(DriftError):
        ask(store, Drifting(build=build("q4"), noise=1.0))


def test_stored_chunks_refuse_a_build_that_does_not_agree(store):
    fill(store, FakeEmbedder(), 40)
    with pytest.raises(DriftError) as caught:
        ask(store, Drifting(build=build("q4"), noise=1.0))
    assert "written by a test" in caught.value.problem
    assert "stored chunks" in caught.value.problem
    assert caught.value.details["written_by"] is None
    assert store.spaces.reference(1) is None


def test_one_stored_chunk_is_enough_to_refuse(store):
    fill(store, FakeEmbedder(), 1)
    with pytest.raises(DriftError):
        ask(store, Drifting(build=build("q4"), noise=1.0))
    ask(store, FakeEmbedder())


def test_a_proof_of_a_newer_version_asks_for_an_update(store):
    vectors = embed_probes(FakeEmbedder(), Watch())[1]
    store.spaces.refer(1, Reference("2", vectors, FAKE_BUILD))
    with pytest.raises(NewerStoreError, match="'2'"):
        ask(store, FakeEmbedder())


def test_a_damaged_proof_is_told(store):
    vectors = embed_probes(FakeEmbedder(), Watch())[1]
    store.spaces.refer(1, Reference(NAME, vectors[:3], FAKE_BUILD))
    with pytest.raises(StoreError, match="damaged"):
        ask(store, FakeEmbedder())


# Stores that cannot be written


def test_whoever_cannot_write_is_measured_and_remembered_here(store, monkeypatch):
    ask(store, FakeEmbedder())

    def read_only(*args):
        raise StoreReadOnlyError("It cannot be written.", "Make it writable.")

    monkeypatch.setattr(store.spaces, "admit", read_only)
    monkeypatch.setattr(store.spaces, "refer", read_only)
    embedder = Drifting(build=build("q8"), noise=0.02)
    wrapped = admitted(store, 1, embedder, (), "notes.db")
    wrapped.embed(["one"], "query", Watch())
    wrapped.embed(["two"], "query", Watch())
    assert len(embedder.seen) == 2 + len(PROBES)
    assert names(store) == ["fake@q32"]


def test_an_unproven_index_that_cannot_be_written_is_read_all_the_same(store, monkeypatch):
    fill(store, FakeEmbedder(), 20)

    def read_only(*args):
        raise StoreReadOnlyError("It cannot be written.", "Make it writable.")

    monkeypatch.setattr(store.spaces, "refer", read_only)
    monkeypatch.setattr(store.spaces, "admit", read_only)
    assert ask(store, FakeEmbedder()).build == FAKE_BUILD
    assert store.spaces.reference(1) is None


def test_a_space_that_is_gone_is_told(store, monkeypatch):
    wrapped = admitted(store, 1, FakeEmbedder(), (), "notes.db")

    def moved(*args):
        raise SpaceMovedError("The store has gone over.", "Open it again.")

    monkeypatch.setattr(store.spaces, "refer", moved)
    with pytest.raises(SpaceMovedError):
        wrapped.embed(["one"], "query", Watch())


# What a refusal says


def test_a_refusal_says_what_drifts_what_that_would_do_and_what_helps(store):
    writer = FakeEmbedder(build=build("q8", host="server"))
    ask(store, writer)
    fill(store, writer, 200)
    with pytest.raises(DriftError) as caught:
        ask(store, Drifting(build=build("q4", host="laptop"), noise=0.2))
    error = caught.value
    for part in ("notes.db", "space 1", "fake@q8", "server", "fake@q4", "laptop", "0.01", "0.03"):
        assert part in error.problem
    assert "best results" in error.problem
    for part in ("--quantization q8", "service", "embedwell migrate --to fake@q4", "accept_drift"):
        assert part in error.remedy
    assert 0.5 < error.details["overlap_at_10"] < 1
    assert error.details["written_by"]["artifact"] == "fake@q8"
    assert error.details["asked_by"]["host"] == "laptop"
    assert error.details["bounds"]["mean"] == 0.01
    assert error.details["drift"]["mean"] > 0.01
    assert [one["artifact"] for one in error.details["admitted"]] == ["fake@q8"]


def test_a_refusal_names_the_engine_that_agrees(store):
    ask(store, FakeEmbedder(build=build("q8", engine="onnxruntime")))
    with pytest.raises(DriftError) as caught:
        ask(store, Drifting(build=build("q8", engine="other"), noise=1.0))
    assert "`engine = onnxruntime`" in caught.value.remedy
    assert "--quantization" not in caught.value.remedy
    assert "service of a machine" not in caught.value.remedy


def test_a_refusal_for_odd_texts_names_one_of_them(store):
    class OddlyWrong(FakeEmbedder):
        def embed(self, texts, kind, watch):
            return super().embed(["?" if text == "window" else text for text in texts], kind, watch)

    ask(store, FakeEmbedder())
    with pytest.raises(DriftError) as caught:
        ask(store, OddlyWrong(build=build("q8")))
    assert caught.value.details["worst_text"] == "window"
    assert "on odd texts (0.06); worst for 'window'" in caught.value.problem


def test_a_small_store_gives_no_estimate(store):
    ask(store, FakeEmbedder())
    fill(store, FakeEmbedder(), 20)
    with pytest.raises(DriftError) as caught:
        ask(store, Drifting(build=build("q4"), noise=1.0))
    assert caught.value.details["overlap_at_10"] is None
    assert "best results" not in caught.value.problem


def test_more_noise_is_estimated_to_cost_more(store):
    ask(store, FakeEmbedder())
    fill(store, FakeEmbedder(), 300)
    estimates = []
    for noise in (0.3, 1.0):
        with pytest.raises(DriftError) as caught:
            ask(store, Drifting(build=build("q4"), noise=noise))
        estimates.append(caught.value.details["overlap_at_10"])
    assert estimates[0] > estimates[1]
