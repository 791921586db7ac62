from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from embedwell.engines import sessions as engine
from embedwell.engines.protocol import TokenBatch

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def probe_tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import product_probe

    yield product_probe
    del sys.modules["product_probe"]


def test_the_probe_is_what_its_tool_writes(probe_tool):
    assert probe_tool.PLACE.read_bytes() == probe_tool.probe()


def test_products_are_exact_once_asked_to_be():
    session = onnxruntime.InferenceSession(
        engine._PROBE_FILE.read_bytes(),
        engine._options(1, exact_products=True),
        providers=engine.PROCESSOR,
    )
    (products,) = session.run(None, {"rows": np.full((4, 64), 255, np.uint8)})
    assert (products == 64 * 255 * 127).all()


@pytest.mark.parametrize("overflow", [False, True])
def test_vectors_do_not_depend_on_how_the_processor_multiplies(
    real_artifact, monkeypatch, overflow
):
    batch = TokenBatch(np.array([[101, 7592, 2088, 102]]), np.ones((1, 4), np.int64))
    expected = engine.Session(real_artifact("q8"), 1, "onnx").run(batch)[0]
    monkeypatch.setattr(engine, "_products_overflow", lambda: overflow)
    found = engine.Session(real_artifact("q8"), 1, "onnx").run(batch)[0]
    cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine > 0.99999


def test_only_8_bit_artifacts_are_concerned(real_artifact, monkeypatch):
    monkeypatch.setattr(engine, "_products_overflow", lambda: True)
    assert engine._must_ask_for_exact_products(real_artifact("q8"))
    assert not engine._must_ask_for_exact_products(real_artifact("q16"))
