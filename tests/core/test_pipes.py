"""Messages between processes: whole, or none."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from embedwell.core.pipes import MOST_BYTES, receive, send


def test_messages_come_out_one_by_one_as_they_went_in():
    pipe = io.BytesIO()
    send(pipe, b"ab", b"", b"\0c")
    send(pipe)
    pipe.seek(0)
    assert [receive(pipe), receive(pipe)] == [b"ab\0c", b""]
    with pytest.raises(EOFError):
        receive(pipe)


@pytest.mark.parametrize("kept", [0, 7, 8, 10])
def test_what_ends_too_early_is_no_message(kept):
    pipe = io.BytesIO()
    send(pipe, b"abc")
    with pytest.raises(EOFError):
        receive(io.BytesIO(pipe.getvalue()[:kept]))


def test_a_message_that_is_too_long_is_not_read():
    pipe = io.BytesIO((MOST_BYTES + 1).to_bytes(8, "little"))
    with pytest.raises(EOFError):
        receive(pipe)
    assert pipe.read() == b""


def test_what_a_library_prints_or_reads_does_not_reach_the_pipes():
    child = (
        "import os, sys; from embedwell.core.pipes import receive, send, take_standard_pipes\n"
        "source, sink = take_standard_pipes()\n"
        "os.write(1, b'printed'); send(sink, receive(source), os.read(0, 9))"
    )
    asked = io.BytesIO()
    send(asked, b"asked")
    done = subprocess.run(
        [sys.executable, "-c", child], input=asked.getvalue(), capture_output=True, check=True
    )
    assert receive(io.BytesIO(done.stdout)) == b"asked"
    assert done.stderr == b"printed"


@pytest.mark.parametrize("child", ["embedwell.ingest.child", "embedwell.engines.llamacpp_child"])
def test_a_child_begins_without_what_looks_at_machines(child):
    script = f"import sys, {child}; sys.exit('psutil' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
