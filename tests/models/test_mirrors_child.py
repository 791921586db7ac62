import shutil
import sys
import threading

import pytest
from published import Recorder

from embedwell.core.errors import TaskCancelledError
from embedwell.core.events import Watch
from embedwell.models.mirrors.child import Child, folder_bytes


def program(tmp_path, text: str, **limits) -> Child:
    command = (sys.executable, "-c", text)
    return Child(command, tmp_path / "log", **({"silence_s": 60.0} | limits))


def nothing_happens() -> int:
    return 0


def test_what_it_writes_and_its_status_are_kept(tmp_path):
    child = program(tmp_path, "import sys; print(input()); sys.exit(3)", request="hello")
    assert child.run(nothing_happens, Watch()) == 3
    assert child.output().split() == ["hello"]


def test_a_request_to_one_that_has_ended_is_no_error(tmp_path):
    child = program(tmp_path, "", request="x" * 1_000_000)
    assert child.run(nothing_happens, Watch()) == 0


def test_one_that_shows_no_life_is_asked_to_end(tmp_path):
    child = program(tmp_path, "import sys; sys.stdin.read()", silence_s=0.1)
    assert child.run(nothing_happens, Watch()) is None


def test_one_that_will_not_end_is_killed(tmp_path):
    child = program(tmp_path, "import time; time.sleep(600)", silence_s=0.1, grace_s=0.1)
    assert child.run(nothing_happens, Watch()) is None


def test_one_that_shows_life_is_waited_for(tmp_path):
    child = program(tmp_path, "import time; time.sleep(0.5)", silence_s=0.2)
    looks = iter(range(1_000_000))
    assert child.run(lambda: next(looks), Watch()) == 0


def test_cancelling_ends_it(tmp_path):
    recorder = Recorder(stop_at="download")
    child = program(tmp_path, "import sys; sys.stdin.read()")

    def report() -> int:
        recorder.watch.progress("download", 1, None, "bytes")
        return 0

    with pytest.raises(TaskCancelledError):
        child.run(report, recorder.watch)


def test_a_folder_is_measured_while_others_work_in_it(tmp_path):
    (tmp_path / "kept").write_bytes(b"x" * 7)
    done = threading.Event()

    def churn():
        while not done.is_set():
            for number in range(20):
                (tmp_path / f"{number}").mkdir()
                (tmp_path / f"{number}/file").write_bytes(b"")
            for number in range(20):
                shutil.rmtree(tmp_path / f"{number}")

    worker = threading.Thread(target=churn)
    worker.start()
    try:
        assert {folder_bytes(tmp_path) for _ in range(300)} == {7}
    finally:
        done.set()
        worker.join()
