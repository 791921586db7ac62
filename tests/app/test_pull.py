"""Pulling and converting in a process of its own."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from embedwell.app.config.settings import Settings
from embedwell.app.embedding.runtime import Runtime
from embedwell.app.models import pull
from embedwell.app.models.pull import ChildPuller
from embedwell.core.errors import (
    ConversionError,
    ModelUnavailableError,
    TaskCancelledError,
    UnknownModelError,
)
from embedwell.core.events import Watch

MODEL = "all-MiniLM-L6-v2"


@pytest.fixture
def files(real_source, tmp_path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for name, path in real_source.paths.items():
        (folder / name).symlink_to(path)
    return folder


def rubbish(cache: Path) -> list[Path]:
    return [path for path in cache.glob("tmp/*") if path.suffix != ".lock"]


def test_it_makes_what_is_not_there_and_tells_each_step(files, tmp_path):
    steps = []
    settings = Settings(cache=tmp_path / "cache", model_files=files)
    made = ChildPuller().artifact(settings, "all-minilm", Watch(steps.append))
    assert made.name == f"{MODEL}@q8"
    assert {"verify", "convert"} <= {step.stage for step in steps}
    again = []
    assert ChildPuller().artifact(settings, f"{MODEL}@q8", Watch(again.append)) == made
    assert again == []


def test_threads_that_ask_for_one_artifact_start_one_child(files, tmp_path, monkeypatch):
    started = []
    make = pull._make
    monkeypatch.setattr(pull, "_make", lambda *given: started.append(1) or make(*given))
    settings = Settings(cache=tmp_path / "cache", model_files=files)
    puller, found = ChildPuller(), []
    threads = [
        threading.Thread(target=lambda: found.append(puller.artifact(settings, MODEL, Watch())))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4
    assert started == [1]


def test_an_error_of_the_child_arrives_as_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    settings = Settings(cache=tmp_path / "cache", model_files=tmp_path / "nothing")
    with pytest.raises(ModelUnavailableError, match="local") as caught:
        ChildPuller().artifact(settings, MODEL, Watch())
    assert "model_files" in caught.value.remedy


def test_an_unknown_model_starts_no_child(tmp_path):
    with pytest.raises(UnknownModelError):
        ChildPuller().artifact(Settings(cache=tmp_path), "llama3", Watch())


def test_cancelling_leaves_nothing_behind(files, tmp_path):
    settings = Settings(cache=tmp_path / "cache", model_files=files)
    watch = Watch(lambda step: step.stage == "convert" and watch.cancelled.set())
    with pytest.raises(TaskCancelledError):
        ChildPuller().artifact(settings, MODEL, watch)
    assert rubbish(settings.cache) == []
    assert not list(settings.cache.glob("artifacts/*"))


def test_one_who_waits_for_another_can_be_cancelled(tmp_path):
    puller, watch = ChildPuller(), Watch()
    with puller._alone(f"{MODEL}@q8", Watch()):
        watch.cancelled.set()
        with pytest.raises(TaskCancelledError):
            puller.artifact(Settings(cache=tmp_path), MODEL, watch)


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "input(); raise SystemExit(3)"])
def test_a_child_that_dies_is_told_of_with_its_status(tmp_path, monkeypatch, program):
    monkeypatch.setattr(pull, "_PROGRAM", (sys.executable, "-c", program))
    with pytest.raises(ConversionError, match="status 3"):
        ChildPuller().artifact(Settings(cache=tmp_path), MODEL, Watch())


def test_a_child_that_does_not_heed_is_killed(tmp_path, monkeypatch):
    stuck = (sys.executable, "-c", "import time; time.sleep(60)")
    monkeypatch.setattr(pull, "_PROGRAM", stuck)
    monkeypatch.setattr(pull, "_GRACE_S", 0.1)
    watch = Watch()
    threading.Timer(0.3, watch.cancelled.set).start()
    with pytest.raises(TaskCancelledError):
        ChildPuller().artifact(Settings(cache=tmp_path), MODEL, watch)


def test_the_program_ends_when_its_parent_lets_go(files, tmp_path):
    """A parent that was killed closes the child's input as it dies."""
    cache = tmp_path / "cache"
    request = {"name": MODEL, "cache": str(cache), "model_files": str(files)}
    done = subprocess.run(
        pull._PROGRAM, check=False, input=json.dumps(request) + "\n", capture_output=True, text=True
    )
    last = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 1
    assert last["error"] == "TaskCancelledError"
    assert rubbish(cache) == []


def test_the_program_answers_in_lines_of_json(files, tmp_path, monkeypatch, capsys):
    from embedwell.app.models import pull_child

    monkeypatch.setattr(pull_child, "_stop_with_parent", lambda watch: None)
    monkeypatch.setattr(pull_child.signal, "signal", lambda *given: None)
    request = {"name": MODEL, "cache": str(tmp_path / "cache"), "model_files": str(files)}
    for name, status in ((MODEL, 0), ("llama3", 1)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(request | {"name": name}) + "\n"))
        assert pull_child.main() == status
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0].keys() == {"stage", "done", "total", "unit"}
    assert lines[-1]["error"] == "UnknownModelError"


def test_a_runtime_tells_of_a_pull_as_events(files, tmp_path):
    events, steps = [], []
    settings = Settings(cache=tmp_path / "cache", model_files=files)
    runtime = Runtime(settings, events.append, ChildPuller().artifact)
    try:
        runtime.pull("all-minilm", Watch(steps.append))
    finally:
        runtime.close()
    assert {event.kind for event in events} == {"loading"}
    assert {event.artifact for event in events} == {f"{MODEL}@q8"}
    assert [event.detail["stage"] for event in events] == [step.stage for step in steps]
