"""`embedwell index` over every hostile file there is, beside good ones: it goes on to its end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading

import psutil
import pytest

import hostile

MIB = 1 << 20
WORKER_MIB = 400
"""With the model, a batch of chunks and a notebook of 60 MB in its hands; generous."""

CHILD_MIB = 256


@pytest.fixture
def folder(tmp_path, real_cache):
    place = tmp_path / "folder"
    place.mkdir()
    for name, (make, _) in (hostile.BYTES | hostile.HARMLESS).items():
        (place / name).write_bytes(make())
    for name in hostile.CRASHING:
        (place / name).write_bytes(name.removesuffix(".html").encode() + b"\n<p>text")
    hostile.write_hollow(place)
    hostile.write_no_files(place)
    (place / "a good note.md").write_text("# Note\n\nThe spare key hangs behind the clock.\n")
    (place / "zz_good.py").write_text("def open_the_door():\n    return 'with the spare key'\n")
    return place


class Peaks(threading.Thread):
    """Looks at a process and its children until it has ended."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self.process = process
        self.worker_bytes = self.child_bytes = 0

    def run(self):
        with_children = psutil.Process(self.process.pid)
        while self.process.poll() is None:
            try:
                self.worker_bytes = max(self.worker_bytes, with_children.memory_info().rss)
                for child in with_children.children(recursive=True):
                    self.child_bytes = max(self.child_bytes, child.memory_info().rss)
            except psutil.Error:
                continue
            threading.Event().wait(0.02)


def index(folder, **environment):
    command = [sys.executable, "-m", "embedwell.cli.main", "index", "--json"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        peaks = Peaks(process)
        peaks.start()
        out, err = process.communicate()
        peaks.join()
    return process.returncode, out, err, peaks


@pytest.mark.skipif(os.name != "posix", reason="pipes, sockets and signals")
def test_each_fails_alone_with_its_reason_and_the_rest_is_found(folder):
    code, out, err, peaks = index(
        folder,
        PYTHONPATH=str(hostile.HARM),
        EMBEDWELL_EXTRACTION_TIMEOUT_S="3",
        EMBEDWELL_EXTRACTION_MEMORY=f"{CHILD_MIB}MiB",
    )
    assert "Traceback" not in err
    report = json.loads(out)
    failed = {one["key"]: one["reason"] for one in report["failed"]}
    expected = {name: reason for name, (_, reason) in hostile.BYTES.items()} | hostile.CRASHING
    assert failed.keys() == expected.keys()
    for name, reason in expected.items():
        assert re.search(reason, failed[name]), (name, failed[name])
    left_out = {one["key"]: one["reason"] for one in report["skipped"]}
    assert left_out.keys() == {*hostile.HOLLOW, "zero.txt"}
    assert all("the limit is" in left_out[name] for name in hostile.HOLLOW)
    assert report["n_added"] == len(hostile.HARMLESS) + 2 + len(expected)
    assert code == 3
    assert peaks.worker_bytes < WORKER_MIB * MIB
    assert peaks.child_bytes < (CHILD_MIB + 64) * MIB
    assert found(folder, "where does the spare key hang") == "a good note.md"
    assert found(folder, "the deepest division") == "deep.html"


def found(folder, question):
    ran = subprocess.run(
        [sys.executable, "-m", "embedwell.cli.main", "search", "--json", question],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout)["results"][0]["path"]
