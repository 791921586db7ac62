from __future__ import annotations

import io
import os
import signal
import sys

import pytest

from embedwell.cli import progress
from embedwell.core.errors import TaskCancelledError


class Terminal(io.StringIO):
    def isatty(self):
        return True


def open_terminal(monkeypatch):
    """Called in the test itself: between its phases pytest sets standard error anew."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(progress, "_SILENT_S", 0.0)
    return screen


def test_a_terminal_sees_how_far_each_stage_is(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with progress.watching() as watch:
        watch.progress("download", 1, 4, "bytes")
        watch.progress("download", 2, 4, "bytes")
        watch.progress("convert", 0, None, "tensors")
        watch.progress("convert", 1, 3, "tensors")
    assert "download" in terminal.getvalue()
    assert "50 % of bytes" in terminal.getvalue()
    assert "convert" in terminal.getvalue()


def test_what_is_over_soon_is_not_drawn(monkeypatch):
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr(progress, "_SILENT_S", 60.0)
    with progress.watching() as watch:
        watch.progress("download", 1, 4, "bytes")
    assert terminal.getvalue() == ""


def test_a_pipe_sees_nothing(monkeypatch):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    monkeypatch.setattr(progress, "_SILENT_S", 0.0)
    with progress.watching() as watch:
        watch.progress("download", 1, 4, "bytes")
        watch.progress("download", 2, 4, "bytes")
    assert pipe.getvalue() == ""


def test_the_first_ctrl_c_stops_at_a_safe_point_and_the_second_at_once():
    before = signal.getsignal(signal.SIGINT)
    with progress.watching() as watch:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(TaskCancelledError):
            watch.check("index")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
