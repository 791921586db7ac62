"""Vectors that are cut short: one artifact on disk, two spaces, the same numbers on every way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import embedwell
from embedwell.app.config.settings import Settings
from embedwell.app.embedding.runtime import Runtime
from embedwell.core.errors import SettingsError, SpaceMismatchError, UnknownModelError
from embedwell.core.events import Watch
from embedwell.core.vectors import normalized, shortened
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.catalogue import card
from embedwell.models.known import Known

MODEL = "all-MiniLM-L6-v2"
TEXTS = ["a river in the mountains", "how to read a file in Python", "x"]


@pytest.fixture(params=[False, True], ids=["plain", "centred"])
def row(request, monkeypatch):
    """The default model as if it had been trained for shorter lengths."""
    found = replace(card(MODEL), matryoshka=(128, 64), centred_cut=request.param)
    for module in ("known", "catalogue"):
        monkeypatch.setattr(f"embedwell.models.{module}.catalogue", lambda: {MODEL: found})
    return found


def test_the_cut_is_made_before_the_length_is(row, real_cache):
    runtime = Runtime(Settings(cache=real_cache, vector_cache_entries=100))
    whole = runtime.embed(f"{MODEL}@q8", TEXTS, "document", Watch()).vectors
    short = runtime.embed(f"{MODEL}:64@q8", TEXTS, "document", Watch()).vectors
    again = runtime.embed(f"{MODEL}@q8", TEXTS, "document", Watch()).vectors
    names = {state.artifact.name for state in runtime.states()}
    runtime.close()
    assert short.shape == (3, 64)
    centred = whole - whole.mean(axis=1, keepdims=True) if row.centred_cut else whole
    assert np.abs(short - normalized(centred[:, :64])).max() < 1e-6
    assert np.array_equal(whole, again)  # kept vectors of the two lengths do not mix
    assert names == {f"{MODEL}@q8", f"{MODEL}:64@q8"}


def test_both_lengths_share_their_files(row, real_cache):
    kept, known = ArtifactStore(real_cache), Known(real_cache)
    whole, short = (kept.find(known.card(name), "q8") for name in (MODEL, f"{MODEL}:64"))
    assert whole.folder == short.folder
    assert whole.key != short.key
    assert (whole.space.dimensions, short.space.dimensions) == (384, 64)


def test_an_index_keeps_its_length_and_refuses_another(row, real_cache, tmp_path):
    with embedwell.open(tmp_path, model=f"{MODEL}:64") as index:
        index.add(["the river rose in the night"])
        assert index.space.dimensions == 64
    with embedwell.open(tmp_path) as index:
        assert index.search("river").results
        assert index.settings.model == f"{MODEL}:64"
    with embedwell.open(tmp_path, model=f"{MODEL}:128") as index, pytest.raises(SpaceMismatchError):
        index.add(["more"])


def test_a_length_that_the_model_was_not_trained_for_is_refused(row, tmp_path):
    with pytest.raises(UnknownModelError, match="cannot be cut to 100"):
        embedwell.open(tmp_path, model=f"{MODEL}:100")


def test_the_configured_length_is_that_of_an_embedder(row, real_cache, monkeypatch):
    monkeypatch.setenv("EMBEDDING_DIMENSION", "64")
    with embedwell.Embedder() as embedder:
        assert embedder.embed(TEXTS).shape == (3, 64)
    monkeypatch.setenv("EMBEDDING_DIMENSION", "1536")
    with pytest.raises(SettingsError, match=r"dimensions is 1536.*`embedwell config`"):
        embedwell.Embedder()


def test_taking_the_mean_off_changes_nothing_but_the_angle():
    vectors = np.array([[3, 1, 2, 6]], np.float32)
    assert shortened(vectors, 2, centred=False).tolist() == [[3, 1]]
    assert shortened(vectors, 2, centred=True).tolist() == [[0, -2]]
    assert shortened(normalized(vectors), 2, centred=True) == pytest.approx(
        shortened(vectors, 2, centred=True) / np.linalg.norm(vectors)
    )
