"""Killing a process at any moment, for tests of what is left behind."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Timer

import pytest

FIRST_LINE = "ready"


def killed(
    script: str, arguments: Sequence[str | Path], after_s: float, until: str = ""
) -> list[str]:
    """Run a script in a process of its own and kill it.

    The process is forked from one that has imported what most scripts need: that would take longer
    than what they do.

    Args:
        script: Python that prints `ready`, with `flush=True`, and then a line for each thing that
            it counts as done. Its `sys.path` has the folders of this process, and `sys` is there.
        arguments: Its `sys.argv[1:]`.
        after_s: Seconds after the first line; it may have ended by itself then.
        until: Where given, it is killed as soon as it prints a line with this in it.

    Returns:
        The lines that it printed whole after the first.

    Raises:
        AssertionError: It failed before it was killed.
    """
    if sys.platform == "win32":
        pytest.skip("no SIGKILL there")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["embedwell.app.adopted.column", "embedwell.testing", "psycopg"])
    reader, writer = context.Pipe(duplex=False)
    values = (script, [str(one) for one in arguments], writer, sys.path, dict(os.environ))
    process = context.Process(target=_run, args=values)
    process.start()
    writer.close()
    with os.fdopen(os.dup(reader.fileno())) as printed:
        reader.close()
        assert printed.readline() == f"{FIRST_LINE}\n"
        timer = Timer(after_s, process.kill)
        timer.start()
        lines = []
        for line in printed:
            lines += [line.removesuffix("\n")] if line.endswith("\n") else []
            if until and until in line:
                break
        timer.cancel()
        process.kill()
    process.join()
    assert process.exitcode in {0, -9}
    return lines


def _run(
    script: str,
    arguments: list[str],
    output: Connection,
    path: list[str],
    environment: dict[str, str],
) -> None:
    os.dup2(output.fileno(), 1)
    output.close()
    sys.path[:], sys.argv[1:] = path, arguments
    os.environ.clear()
    os.environ.update(environment)
    exec(script, {"__name__": "__main__", "sys": sys})
