"""Killing a process at any moment, for tests of what is left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

FIRST_LINE = "ready"


def killed(script: str, arguments: Sequence[str | Path], after_s: float) -> list[str]:
    """Run a script in a process of its own and kill it.

    Args:
        script: Python that prints `ready`, with `flush=True`, and then a line for each thing that
            it counts as done. Its `sys.path` has the folders of this process.
        arguments: Its `sys.argv[1:]`.
        after_s: Seconds after the first line; it may have ended by itself then.

    Returns:
        The lines that it printed whole after the first.

    Raises:
        AssertionError: It failed before it was killed.
    """
    if sys.platform == "win32":
        pytest.skip("no SIGKILL there")
    setup = f"import sys; sys.path[:0] = {[path for path in sys.path if path]!r}\n"
    command = [sys.executable, "-c", setup + script, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{FIRST_LINE}\n"
        time.sleep(after_s)
        process.kill()
        *lines, _half = process.stdout.read().split("\n")
        process.wait()
    assert process.returncode in {0, -9}
    return lines
