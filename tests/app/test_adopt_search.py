"""An application's own file, searched by meaning: `embedwell.adopt`."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import embedwell
from embedwell.app.adopted.adopt import Adopted
from embedwell.core.embedded import Embedded
from embedwell.core.errors import DriftError, QueryError, SettingsError, SpaceMismatchError
from embedwell.core.events import Watch
from embedwell.stores.foreign.tables import Place, TextPlace
from embedwell.stores.foreign.vectors import ForeignVectors
from embedwell.testing import FAKE_BUILD, FAKE_SPACE, FakeEmbedder

TEXTS = [f"{subject} {verb}" for subject in ("mirror", "bread", "drive") for verb in "abcde"]


def write(file: Path, texts: list[str], vectors: np.ndarray) -> None:
    application = sqlite3.connect(file)
    application.execute("CREATE TABLE notes (id TEXT, body TEXT, embedding BLOB)")
    application.executemany(
        "INSERT INTO notes VALUES (?, ?, ?)",
        [(f"n{n}", *row) for n, row in enumerate(zip(texts, vectors, strict=True))],
    )
    application.commit()
    application.close()


@dataclass
class OtherEmbedder(FakeEmbedder):
    """Gives its vectors a turn, as another model would."""

    turn: float = 1.0

    def embed(self, texts, kind, watch) -> Embedded:
        found = FakeEmbedder.embed(self, texts, kind, watch)
        turned = found.vectors + self.turn * np.roll(found.vectors, 1, axis=1)
        return replace(found, vectors=turned.astype(np.float32))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "notes.db"


def adopted(file: Path, embedder: FakeEmbedder, *, text: bool = True, accept=()) -> Adopted:
    place = Place("notes", "id", "embedding", {}, TextPlace("body") if text else None)
    vectors = ForeignVectors(file, place, FAKE_SPACE.dimensions)
    return Adopted(vectors, "'notes.embedding'", FAKE_SPACE, lambda: embedder, accept)


def stored(texts: list[str]) -> np.ndarray:
    return FakeEmbedder().embed(texts, "document", Watch()).vectors


def test_a_model_that_gives_what_is_stored_is_proven_and_searches(file: Path):
    write(file, TEXTS, stored(TEXTS))
    embedder = FakeEmbedder()
    with adopted(file, embedder) as notes:
        assert notes.proof == ""
        (best, *_) = notes.search("bread c", k=2)
        assert (best.id, best.text) == ("n7", "bread c")
        assert best.score == pytest.approx(1, abs=1e-5)
        assert "15 texts again" in notes.proof
        assert (notes.form, notes.skipped, len(notes)) == ("float32", 0, 15)
        n_seen = len(embedder.seen)
        notes.search("drive a")
        assert len(embedder.seen) == n_seen + 1  # proven once


def test_another_build_is_proven_again(file: Path):
    write(file, TEXTS, stored(TEXTS))
    embedder = FakeEmbedder()
    with adopted(file, embedder) as notes:
        notes.search("bread c")
        embedder.build = replace(FAKE_BUILD, native="1" * 40)
        n_seen = len(embedder.seen)
        notes.search("bread c")
        assert len(embedder.seen) > n_seen + 2


@pytest.mark.parametrize("accept", [(), (FAKE_BUILD.artifact,)])
def test_a_model_that_gives_other_vectors_is_refused(file: Path, accept):
    write(file, TEXTS, stored(TEXTS))
    with (
        adopted(file, OtherEmbedder(), accept=accept) as notes,
        pytest.raises(DriftError, match="not what this model makes of their texts"),
    ):
        notes.search("bread c")


def test_a_small_drift_may_be_accepted_by_name(file: Path):
    write(file, TEXTS, stored(TEXTS))
    turn = 0.2
    with adopted(file, OtherEmbedder(turn=turn)) as notes, pytest.raises(DriftError):
        notes.search("bread c")
    with adopted(file, OtherEmbedder(turn=turn), accept=(FAKE_BUILD.artifact,)) as notes:
        assert notes.search("bread c", 1)[0].id == "n7"


@pytest.mark.parametrize(("n_stale", "refused"), [(3, False), (6, True)])
def test_a_few_texts_may_have_changed_since(file: Path, n_stale: int, refused: bool):
    now = [*(f"rewritten {n}" for n in range(n_stale)), *TEXTS[n_stale:]]
    write(file, now, stored(TEXTS))
    with adopted(file, FakeEmbedder()) as notes:
        if refused:
            with pytest.raises(DriftError):
                notes.search("bread c")
        else:
            assert notes.search("bread c", 1)[0].id == "n7"


@pytest.mark.parametrize(
    ("text", "why"), [(False, "no column with their texts"), (True, "too few texts")]
)
def test_what_cannot_be_proven_is_said(
    file: Path, text: bool, why: str, caplog: pytest.LogCaptureFixture
):
    write(file, ["", TEXTS[0]], stored(TEXTS[:2]))
    with (
        caplog.at_level(logging.WARNING, "embedwell"),
        adopted(file, FakeEmbedder(), text=text) as notes,
    ):
        assert len(notes.search("mirror")) == 2
        assert len(notes.search("drive")) == 2
    assert why in notes.proof
    assert [record.message for record in caplog.records] == [notes.proof]


def test_an_empty_question_is_refused(file: Path):
    write(file, TEXTS, stored(TEXTS))
    with adopted(file, FakeEmbedder()) as notes, pytest.raises(QueryError):
        notes.search(" ")


def test_a_vector_of_one_s_own_needs_no_model(file: Path):
    write(file, TEXTS, stored(TEXTS))
    with adopted(file, FakeEmbedder()) as notes:
        assert notes.nearest(stored(["drive e"])[0], 1)[0].id == "n14"
        assert notes.proof == ""


def test_the_real_model_finds_and_proves_itself(real_cache, file: Path):
    texts = [
        "The mirror rebuilds itself in six hours.",
        "Le pain lève mieux au chaud.",
        "Retries back off exponentially.",
    ]
    with embedwell.Embedder() as embedder:
        write(file, texts, embedder.embed(texts))
    with embedwell.adopt(
        file, "notes", id="id", vector="embedding", text=("notes", "id", "body")
    ) as notes:
        assert notes.search("rebuilding a drive", 1)[0].id == "n0"
        assert "3 texts again" in notes.proof
    with embedwell.adopt(
        file, "notes", id="id", vector="embedding", where={"id": "n1"}, text="body"
    ) as notes:
        assert [one.id for one in notes.search("rebuilding a drive")] == ["n1"]


def test_the_model_must_be_known_and_fit(file: Path):
    write(file, TEXTS, stored(TEXTS))
    with pytest.raises(SettingsError, match="auto"):
        embedwell.adopt(file, "notes", id="id", vector="embedding", model="auto")
    with pytest.raises(SpaceMismatchError, match="384"):
        embedwell.adopt(file, "notes", id="id", vector="embedding")
