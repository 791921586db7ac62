"""Our own service as the server of `engine = http`, in both dialects that it speaks."""

from __future__ import annotations

import numpy as np
import pytest
from serving import MODEL

import embedwell
from embedwell.core.errors import DriftError

DIALECTS = pytest.mark.parametrize("dialect", ["ollama", "openai"])
TEXTS = ["three ships in the harbour", "", "bonjour à tous", "word " * 400, "émoji 🙂"]


@pytest.fixture
def asked(service, real_cache, monkeypatch):
    """Set what the user chose: this service, over TCP, in one of its dialects."""

    def choose(dialect, **more):
        chosen = {"remote_url": service.base_url, "remote_dialect": dialect, **more}
        for name, value in {"engine": "http", "model": MODEL, "threads": "1", **chosen}.items():
            monkeypatch.setenv(f"EMBEDWELL_{name.upper()}", value)

    return choose


@DIALECTS
@pytest.mark.filterwarnings("ignore::embedwell.app.embedding.embedder.TruncationWarning")
def test_vectors_are_those_of_the_model_in_this_process(asked, dialect):
    with embedwell.Embedder(MODEL, "q8", threads=1) as here:
        expected = here.embed(TEXTS)
    asked(dialect)
    with embedwell.Embedder() as there:
        found = there.embed(TEXTS)
    cosines = (found * expected).sum(axis=1)
    assert cosines.min() > 0.9999
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-6


@DIALECTS
def test_what_was_written_here_is_searched_with_the_server(asked, tmp_path, monkeypatch, dialect):
    monkeypatch.setenv("EMBEDWELL_QUANTIZATION", "q8")
    with embedwell.open(tmp_path) as index:
        index.add(["Knead the dough and bake the bread.", "Three ships lay in the harbour."])
    asked(dialect)
    with embedwell.open(tmp_path) as index:
        found = index.search("boats at sea", mode="semantic").results
        assert "ships" in found[0].chunk.chunk.text
        builds = [one.build.engine for one in index.store.spaces.admissions(1)]
        assert sorted(builds) == ["http", "onnx"]


def test_fewer_bits_under_the_models_name_are_refused(asked, tmp_path):
    with embedwell.open(tmp_path, quantization="q8") as index:
        index.add(["Knead the dough and bake the bread."])
    asked("openai", remote_model=f"{MODEL}@q4")
    with embedwell.open(tmp_path) as index, pytest.raises(DriftError, match="by http openai"):
        index.search("bread")
