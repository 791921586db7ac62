"""Where the benchmarks read and write."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".bench"  # environments, models, texts, logs: never committed
RESULTS = ROOT / "benchmarks" / "results"
REPORT = ROOT / "docs" / "benchmarks.md"
CHART = ROOT / "docs" / "benchmarks.svg"


def data() -> Path:
    """The published evaluation data: `EMBEDWELL_DATA`, or `../shared/data` beside the checkout."""
    return Path(os.environ.get("EMBEDWELL_DATA", ROOT.parent / "shared" / "data"))


def work(*parts: str) -> Path:
    """A path below `.bench`, its folder made."""
    path = WORK.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
