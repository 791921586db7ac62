from __future__ import annotations

import pytest

from embedwell.app.checks import engines as engine_report


@pytest.fixture(autouse=True)
def _quick(real_cache, tmp_path, monkeypatch):
    monkeypatch.setattr(engine_report, "FILE", str(tmp_path / "engines.json"))
    monkeypatch.setattr(engine_report, "_PART_S", 0.05)
    monkeypatch.setattr(engine_report, "names", lambda: ("onnx", "static"))


def test_engines_are_shown_before_and_after_they_were_measured(run):
    before = run("engines")
    assert before.code == 0
    assert "all-MiniLM-L6-v2@q8 is run by onnx" in before.out
    assert "embedwell engines --measure" in before.out
    found = run("engines", "--measure", "--json").json
    assert [engine["name"] for engine in found["engines"]] == ["onnx", "static"]
    assert found["engines"][0]["measured"]["speed"]["tokens_per_s"] > 0
    after = run("engines", "--measure")
    assert "tokens/s" in after.out
    assert "models distill" in after.out
