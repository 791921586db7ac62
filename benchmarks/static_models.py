"""The static model distilled from the default one: what it takes to make, its speed, its worth."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from benchmarks.datasets import cosqa, piaf, scifact, sts_b
from benchmarks.engines import ENGINES, OURS, Engine
from benchmarks.environments import MODEL, published
from benchmarks.paths import work
from benchmarks.processes import run
from benchmarks.product import command
from benchmarks.quality import search_rows, sts_row
from benchmarks.speed import Row, summary, visit_of
from benchmarks.texts import Corpus

REPETITIONS = 3


def measure(corpora: dict[str, Corpus], data: Path) -> dict[str, Any]:
    """Distil, then visit teacher and student in turn; returns what JSON keeps."""
    folder = work("models", "distilled")
    shutil.rmtree(folder, ignore_errors=True)
    published()  # so that no download is measured
    made = run([command(), "models", "distill", MODEL, "--output", folder, "--json"])
    engines = [ENGINES[OURS], Engine("embedwell static", "embedwell", "", str(folder), "q8")]
    rows = [Row(engine.name, 1) for engine in engines]
    for _ in range(REPETITIONS):
        for row, engine in zip(rows, engines, strict=True):
            print(f"  {engine.name}", flush=True)
            visit_of(row, engine, corpora)
    sets = [scifact(data), cosqa(data), piaf(data)]
    pairs = [sts_b(data, language) for language in ("en", "fr")]
    return {
        "distil": {"took_s": round(made.seconds, 1), "peak_mb": round(made.peak_mb)},
        "speed": [summary(row) for row in rows],
        "sts": [sts_row(engine, pairs, 1) for engine in engines],
        "search": [
            {"engine": engine.name} | search_rows(set_, 1, engine)
            for set_ in sets
            for engine in engines
        ],
    }
