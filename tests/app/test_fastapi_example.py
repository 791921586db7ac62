"""The example application's own tests pass, before and after."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "fastapi"


def test_the_example_passes_its_tests_with_its_own_embeddings_and_with_ours(real_cache):
    pytest.importorskip("fastapi", reason="fastapi is not installed")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    run = subprocess.run(
        [*command, "-p", "no:randomly", "--rootdir", str(EXAMPLE), "-c", os.devnull, str(EXAMPLE)],
        env=os.environ | {"EMBEDWELL_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "8 passed" in run.stdout
