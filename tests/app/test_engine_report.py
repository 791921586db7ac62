from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from msgspec import structs

from embedwell.app.checks import engines as engine_report
from embedwell.app.config.configuration import load
from embedwell.core.errors import EngineError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.engines import registry
from embedwell.handshake.drift import BOUNDS


@pytest.fixture
def settings(real_cache):
    return structs.replace(load().settings, threads=1)


@pytest.fixture
def measured_file(settings, tmp_path, monkeypatch):
    """Where measurements are kept: not in the user's cache."""
    monkeypatch.setattr(engine_report, "FILE", str(tmp_path / "engines.json"))
    monkeypatch.setattr(engine_report, "_PART_S", 0.05)
    return tmp_path / "engines.json"


def only(monkeypatch, *names):
    monkeypatch.setattr(engine_report, "names", lambda: names)


def test_what_is_installed_is_told_with_its_build_and_what_is_missing_with_the_command(
    settings, measured_file, monkeypatch
):
    import onnxruntime

    only(monkeypatch, "cuda", "onnx")
    report = engine_report.look(settings, Watch())
    onnx, cuda = report.engines
    assert (onnx.name, onnx.is_chosen, onnx.problem) == ("onnx", True, "")
    assert onnx.version == onnxruntime.__version__
    assert len(onnx.native) >= 32
    assert onnx.quantizations == ("q4", "q8", "q16", "q32")
    assert not cuda.is_chosen
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        assert 'pip install "embedwell[cuda]"' in cuda.remedy
    assert (report.engine, report.quantization) == ("onnx", "q8")
    assert report.reason.startswith("onnx: the default")
    assert onnx.measured is None


def test_a_named_engine_is_chosen_because_it_was_named(settings, measured_file, monkeypatch):
    only(monkeypatch, "onnx", "openvino")
    report = engine_report.look(structs.replace(settings, engine="openvino"), Watch())
    assert (report.engine, report.quantization) == ("openvino", "q16")
    assert "`engine` names it" in report.reason


def test_a_named_level_is_taken_and_a_named_engine_that_cannot_run_yet_is_told(
    settings, measured_file, monkeypatch
):
    only(monkeypatch, "absent", "onnx")
    monkeypatch.setitem(registry.ENGINES, "absent", "embedwell.engines.static:nothing")
    chosen = structs.replace(settings, model="all-MiniLM-L6-v2@q4", engine="absent")
    report = engine_report.look(chosen, Watch())
    assert report.quantization == "q4"
    assert "It cannot run yet" in report.reason


def test_pairs_of_texts_are_not_measured(settings, measured_file, monkeypatch):
    only(monkeypatch, "onnx")
    reranker = structs.replace(settings, model="ms-marco-MiniLM-L6-v2")
    report = engine_report.look(reranker, Watch(), measure=True)
    assert "gives no vectors" in report.engines[0].unmeasured


def test_an_engine_that_nobody_has_is_refused(settings, measured_file):
    with pytest.raises(EngineError, match="no engine 'opnvino'") as refusal:
        engine_report.look(structs.replace(settings, engine="opnvino"), Watch())
    assert "openvino" in refusal.value.remedy


def test_engines_are_measured_against_the_default_one_and_that_is_kept(
    settings, measured_file, real_artifact, monkeypatch
):
    pytest.importorskip("openvino")
    real_artifact("q16")
    only(monkeypatch, "onnx", "openvino", "static")
    steps = []
    watch = Watch(lambda step: steps.append(step.stage))
    report = engine_report.look(settings, watch, measure=True)
    onnx, openvino, static = report.engines
    assert onnx.measured.artifact == "all-MiniLM-L6-v2@q8"
    assert onnx.measured.drift_worst < 1e-6
    assert 0 < openvino.measured.drift_mean < BOUNDS.mean
    assert 0 < openvino.measured.drift_worst < BOUNDS.worst
    for state in (onnx, openvino):
        speed = state.measured.speed
        assert min(speed.load_s, speed.query_ms, speed.tokens_per_s) > 0
        assert 20 << 20 < speed.loaded_bytes < 2 << 30
        assert state.measured.version == state.version
    assert static.measured is None
    assert "distill" in static.unmeasured
    assert "measure" in steps
    only(monkeypatch, "onnx")
    again = engine_report.look(settings, Watch())
    assert again.engines[0].measured == onnx.measured
    measured_file.write_text(measured_file.read_text().replace("L6", "L12"))  # of another model
    assert engine_report.look(settings, Watch()).engines[0].measured is None
    measured_file.write_text("{")
    assert engine_report.look(settings, Watch()).engines[0].measured is None


def test_where_a_server_embeds_nothing_runs_here(settings, measured_file, monkeypatch):
    only(monkeypatch, "onnx")
    remote = structs.replace(settings, engine="http", model="remote:any")
    report = engine_report.look(remote, Watch(), measure=True)
    assert (report.model, report.engine, report.quantization) == ("remote:any", "http", "")
    assert not report.engines[0].is_chosen
    assert "remote_url" in report.reason


def test_an_engine_that_ends_its_process_is_told(settings, measured_file, monkeypatch):
    only(monkeypatch, "onnx")
    crash = (sys.executable, "-c", "import os; os.abort()")
    monkeypatch.setattr(engine_report, "_PROGRAM", crash)
    (state,) = engine_report.look(settings, Watch()).engines
    assert "ended its process (status -6)" in state.problem
    assert not state.version


def test_it_stops_when_it_is_asked_to(settings, measured_file, monkeypatch):
    only(monkeypatch, "onnx")
    slow = (sys.executable, "-c", "import time; time.sleep(60)")
    monkeypatch.setattr(engine_report, "_PROGRAM", slow)
    watch = Watch()
    popen, children = engine_report.subprocess.Popen, []

    def started(*arguments, **named):
        children.append(popen(*arguments, **named))
        watch.cancelled.set()
        return children[-1]

    fake = SimpleNamespace(**vars(engine_report.subprocess) | {"Popen": started})
    monkeypatch.setattr(engine_report, "subprocess", fake)
    with pytest.raises(TaskCancelledError):
        engine_report.look(settings, watch, measure=True)
    assert children[0].returncode is not None
    assert not measured_file.exists()
