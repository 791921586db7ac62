"""What becomes of output and input that are full, closed, or of another encoding."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from embedwell.cli.failure import explain_system

COMMAND = f"{sys.executable} -m embedwell.cli.main"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", line],
        capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | environment,
    )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("option", ["", "--json"])
def test_a_full_disk_is_told_in_a_sentence(option):
    ran = shell(f"{COMMAND} config {option} > /dev/full")
    assert ran.returncode == 1
    assert "cannot be written: No space left on device." in ran.stderr
    assert len(ran.stderr.splitlines()) == (1 if option else 2)


def test_closed_output_is_no_error():
    ran = shell(f"{COMMAND} config >&- 2>&-")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_closed_input_is_no_text(real_cache):
    ran = shell(f"{COMMAND} embed <&-")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file that cannot be read")
def test_input_that_cannot_be_read_is_told(real_cache):
    ran = shell(f"{COMMAND} embed < /proc/self/mem")
    assert ran.returncode == 1
    assert ran.stderr.startswith("embedwell: Standard input cannot be read: ")


def test_characters_that_the_output_cannot_hold_are_escaped(folder):
    (folder / ".embedwell").mkdir()
    (folder / ".embedwell/config.toml").write_text('threads = "é/☃"', "utf-8")
    ran = shell(f"{COMMAND} config --json", PYTHONIOENCODING="ascii")
    assert "é/☃" in json.loads(ran.stderr)["error"]["problem"]
    ran = shell(f"{COMMAND} config", PYTHONIOENCODING="ascii")
    assert r"\u2603" in ran.stderr


def test_wrong_words_are_json_where_that_is_asked_for(run):
    ran = run("search", "--json")
    assert ran.code == 2
    assert json.loads(ran.err)["error"]["type"] == "UsageError"
    assert "embedwell search --help" in json.loads(ran.err)["error"]["remedy"]


def test_the_first_interrupt_ends_a_wait_for_input(real_cache):
    process = subprocess.Popen(
        [*COMMAND.split(), "embed", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdin.write("a text\n")
    process.stdin.flush()
    assert len(json.loads(process.stdout.readline())) == 384
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    told = process.communicate()[1]
    assert "Fatal" not in told
    assert json.loads(told.splitlines()[-1])["error"]["type"] == "TaskCancelledError"


def test_a_place_that_the_system_refuses_is_told_in_a_sentence(run):
    ran = run("index", "x" * 300)
    assert ran.code == 1
    assert ran.err.startswith("embedwell: ")
    assert "xxx" in ran.err


def test_the_doctor_goes_on_where_the_system_lets_nobody_look(indexed, run, monkeypatch):
    monkeypatch.setenv("EMBEDWELL_CACHE", str(indexed / ("x" * 300)))
    ran = run("doctor", "--json")
    assert ran.code == 1
    assert {"model", "index"} <= {check["name"] for check in ran.json["checks"]}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOENT, errno.EISDIR])
def test_a_place_that_cannot_be_used_is_named(number, capsys):
    assert explain_system(OSError(number, os.strerror(number), "/a/place"), as_json=False) == 1
    assert f"/a/place cannot be used: {os.strerror(number)}." in capsys.readouterr().err


def test_what_no_user_can_mend_keeps_its_trace():
    with pytest.raises(OSError, match="Bad file descriptor"):
        explain_system(OSError(errno.EBADF, os.strerror(errno.EBADF)), as_json=False)


def test_a_folder_that_is_gone_is_told(tmp_path):
    ran = shell(f"mkdir {tmp_path}/x; cd {tmp_path}/x; rmdir {tmp_path}/x; {COMMAND} status")
    assert ran.returncode == 1
    assert ran.stderr.startswith("embedwell: The folder that this was called in is no longer there")
