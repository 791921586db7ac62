from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from embedwell.core.errors import BadTextsError, EngineError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.engines.protocol import EngineBuild, TokenBatch
from embedwell.engines.registry import open_engine
from embedwell.runtime.embedder import LocalEmbedder


@pytest.fixture(scope="module")
def artifact(real_artifact):
    return real_artifact("q8")


@pytest.fixture(scope="module")
def embedder(artifact):
    return LocalEmbedder(artifact, open_engine(artifact, 1))


@dataclass
class BrokenEngine:
    """Refuses texts that hold a token, or gives NaN for them."""

    token: int
    gives_nan: bool
    sizes: list[int] = field(default_factory=list)
    build = EngineBuild("broken", "1", "")

    def run(self, batch: TokenBatch):
        self.sizes.append(len(batch.ids))
        bad = (batch.ids == self.token).any(axis=1)
        if bad.any() and not self.gives_nan:
            raise EngineError("The engine broke.", "Mend it.")
        vectors = np.ones((len(batch.ids), 384), np.float32)
        vectors[bad] = np.nan
        return vectors

    def close(self):
        pass


def test_vectors_have_unit_length_and_the_order_of_the_texts(embedder):
    texts = ["a short one", "word " * 100, "", "un peu de français"]
    together = embedder.embed(texts, "document", Watch()).vectors
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for text, vector in zip(texts, together, strict=True):
        alone = embedder.embed([text], "document", Watch()).vectors[0]
        assert float(alone @ vector) > 0.99999


def test_no_texts_give_no_vectors(embedder):
    assert embedder.embed([], "query", Watch()).vectors.shape == (0, 384)


def test_truncation_is_counted(embedder):
    embedded = embedder.embed(["word " * 300, "short"], "document", Watch())
    assert embedded.n_truncated == 1
    assert embedded.n_tokens.tolist() == [302, 3]


def test_what_lies_past_the_maximum_does_not_matter(embedder):
    kept = "word " * 254
    cut = embedder.embed([kept, kept + "other ending"], "document", Watch()).vectors
    assert float(cut[0] @ cut[1]) > 0.99999


@pytest.mark.parametrize("gives_nan", [False, True])
def test_one_bad_text_does_not_sink_the_others(artifact, gives_nan):
    embedder = LocalEmbedder(artifact, BrokenEngine(token=7592, gives_nan=gives_nan))
    with pytest.raises(BadTextsError, match="1 of 4 texts") as caught:
        embedder.embed(["one", "hello", "three", "four"], "document", Watch())
    assert list(caught.value.failures) == [1]
    assert np.isfinite(caught.value.vectors).all(axis=1).tolist() == [True, False, True, True]


def test_what_is_not_text_is_named_and_the_rest_embedded(embedder):
    with pytest.raises(BadTextsError, match="text 1: it is int, not str") as caught:
        embedder.embed(["one", 2, "three", None], "document", Watch())
    assert list(caught.value.failures) == [1, 3]
    assert np.isfinite(caught.value.vectors[[0, 2]]).all()


def test_progress_reaches_the_number_of_texts(embedder):
    steps = []
    embedder.embed(["a"] * 3000, "document", Watch(steps.append))
    assert [(step.done, step.total) for step in steps] == [(0, 3000), (2048, 3000), (3000, 3000)]


def test_a_cancelled_watch_stops_it(embedder):
    watch = Watch()
    watch.cancelled.set()
    with pytest.raises(TaskCancelledError):
        embedder.embed(["a"], "document", watch)
