"""Without a card: that it is refused, and how."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from importlib import import_module

import onnxruntime
import pytest
from tiny_artifact import artifact_of_sums

from embedwell.core.errors import EngineError
from embedwell.engines.registry import open_engine


@dataclass
class Session:
    """Stands in for a session of onnxruntime-gpu."""

    providers: list[str]
    asked: tuple = ()
    closed: list[bool] = field(default_factory=list)

    def __call__(self, artifact, n_threads, engine, providers):
        self.asked = providers
        return self

    def close(self):
        self.closed.append(True)


@pytest.fixture
def cuda(monkeypatch):
    """The engine's module as it is where onnxruntime has CUDA."""
    known = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: known)
    monkeypatch.delitem(sys.modules, "embedwell.engines.cuda", raising=False)
    yield import_module("embedwell.engines.cuda")
    sys.modules.pop("embedwell.engines.cuda", None)


@pytest.fixture
def sums(tmp_path):
    return replace(artifact_of_sums(tmp_path), engine="cuda")


def test_an_onnxruntime_without_cuda_is_refused_with_the_commands(sums, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", list)
    monkeypatch.delitem(sys.modules, "embedwell.engines.cuda", raising=False)
    with pytest.raises(EngineError, match=r"pip install.*uninstall.*onnxruntime-gpu"):
        open_engine(sums, 1)


def test_a_driver_that_is_missing_is_an_error_and_no_slow_processor(cuda, sums, monkeypatch):
    session = Session(["CPUExecutionProvider"])
    monkeypatch.setattr(cuda, "Session", session)
    with pytest.raises(EngineError, match=r"CUDA does not start.*nvidia-smi"):
        open_engine(sums, 1)
    assert session.closed


def test_products_are_asked_for_in_full_precision(cuda, sums, monkeypatch):
    session = Session(["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(cuda, "Session", session)
    assert open_engine(sums, 1) is session
    (name, settings), fallback = session.asked
    assert (name, fallback) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert settings["use_tf32"] == "0"
    assert cuda.engine_build().name == "cuda"


def test_levels_that_it_does_not_run_are_refused(cuda, sums):
    with pytest.raises(EngineError, match="q16 or q32"):
        open_engine(replace(sums, quantization="q8"), 1)
