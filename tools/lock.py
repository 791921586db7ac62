"""Write the lock files: every version with its hashes, for every platform, and no index's name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What builds the package is locked with what it needs to run: an editable install builds it.
RUNTIME = ["pyproject.toml", "requirements-build.in"]


def compile_lock(sources: list[str], target: str, *options: str) -> None:
    """Resolve requirements for all platforms and Python >= 3.11 into one file."""
    command = [sys.executable, "-m", "uv", "pip", "compile", *sources, "--universal"]
    command += ["--python-version", "3.11", "--generate-hashes", "--no-header", "--quiet"]
    command += ["--no-emit-index-url", "--no-annotate", "--output-file", target, *options]
    subprocess.run(command, cwd=ROOT, check=True)


compile_lock(RUNTIME, "requirements.lock")
compile_lock([*RUNTIME], "requirements-dev.lock", "--group", "dev", "-c", "requirements.lock")
