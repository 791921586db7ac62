"""Build or measure one searcher in this process; prints what it found as a line of JSON.

    python -m benchmarks.searchers.measure MODULE FOLDER build
    python -m benchmarks.searchers.measure MODULE FOLDER search [update]

A module offers `build(folder)`, which makes its files below the folder, and
`Searcher(folder)`, whose constructor opens them, with

    search(question, k, below)    ids of the k nearest rows whose group is below a number
    rows(ids)                     their row numbers, not timed
    update()                      (optional) replace and remove what `realistic.changes` says
    server_mb()                   (optional) memory of processes besides this one
    close()

and `filters`, whether it can leave rows out.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.searchers import FILTERS, K

ROUNDS, LIMIT_S = 3, 30


def main() -> None:
    name, folder, *what = sys.argv[1:]
    if without := os.environ.get("WITHOUT"):
        sys.modules[without] = None  # type: ignore[assignment]  # as if it were not installed
    module = import_module(f"benchmarks.searchers.{name}")
    _pin()
    if what == ["build"]:
        began = time.perf_counter()
        module.build(Path(folder))
        print(json.dumps({"build_s": round(time.perf_counter() - began, 1)}))
    else:
        print(json.dumps(search(module.Searcher, Path(folder), update="update" in what)))


def search(open_: Callable[[Path], Any], folder: Path, *, update: bool) -> dict[str, Any]:
    """Open, search cold and warm, filtered, and after changes."""
    questions = np.load(folder / "questions.npy")
    before_mb = memory_mb()
    began = time.perf_counter()
    searcher = open_(folder)
    searcher.search(questions[0], K, FILTERS["all"])
    found: dict[str, Any] = {"first_ms": 1000 * (time.perf_counter() - began)}
    found["imports_mb"] = before_mb
    for name, below in FILTERS.items():
        if name == "all" or searcher.filters:
            found[name] = timed(searcher, questions, below)
        if name == "all":
            gc.collect()
            found["rss_mb"] = memory_mb()
            found["server_mb"] = searcher.server_mb() if hasattr(searcher, "server_mb") else None
    if update and hasattr(searcher, "update"):
        searcher.update()
        found["changed"] = timed(searcher, questions, FILTERS["all"])
    searcher.close()
    return found


def timed(searcher: Any, questions: Any, below: int) -> dict[str, Any]:
    """Every question several times while time allows; the median call, and the rows found."""
    ms: list[float] = []
    rows = []
    until = time.perf_counter() + LIMIT_S
    for at in range(ROUNDS):
        for question in questions:
            began = time.perf_counter()
            ids = searcher.search(question, K, below)
            ms.append(1000 * (time.perf_counter() - began))
            if at == 0:
                rows.append([int(row) for row in searcher.rows(ids)])
        if time.perf_counter() > until:
            break
    warm = ms[len(questions) // 10 :]
    return {
        "p50_ms": round(float(np.median(warm)), 3),
        "p95_ms": round(float(np.percentile(warm, 95)), 3),
        "rows": rows,
    }


def memory_mb() -> float:
    """Resident memory of this process, in MB of 10^6 bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    return 0.0


def _pin() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])


if __name__ == "__main__":
    main()
