"""Throughput, latency, cold start and memory: every engine on the same texts.

Each repetition visits all engines in turn, each in a fresh process, so that a change of the
machine's mood meets all of them, and what is reported is the median of an engine's visits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.engines import ENGINES, OURS, REFERENCE, Engine
from benchmarks.environments import UnavailableError
from benchmarks.metrics import cosines
from benchmarks.paths import work
from benchmarks.processes import Peer, PeerError, visit
from benchmarks.texts import Corpus

BULK = ("short", "128", "mixed")
N_WARM_QUERIES = 20
ALL_CORES = (OURS, "embedwell q32", REFERENCE)


@dataclass
class Row:
    """What was measured of an engine, one entry a visit."""

    engine: str
    n_threads: int
    tokens_per_s: dict[str, list[float]] = field(default_factory=lambda: {n: [] for n in BULK})
    query_ms: list[float] = field(default_factory=list)
    cold_start_s: list[float] = field(default_factory=list)
    rss_loaded_mb: list[float] = field(default_factory=list)
    rss_after_mb: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)


def measure(corpora: Mapping[str, Corpus], repetitions: int, n_cores: int) -> dict[str, Any]:
    """Visit every engine that can be had, `repetitions` times; returns what JSON keeps."""
    engines, missing = available(list(ENGINES.values()))
    rows = [Row(engine.name, 1) for engine in engines]
    if n_cores > 1:
        rows += [Row(e.name, n_cores) for e in engines if e.name in ALL_CORES]
    for repetition in range(repetitions):
        for row in rows:
            if repetition < ENGINES[row.engine].repetitions:
                print(
                    f"  visit {repetition + 1}: {row.engine}, {row.n_threads} thread(s)", flush=True
                )
                visit_of(
                    row,
                    ENGINES[row.engine],
                    corpora,
                    keep=repetition == 0 and row.n_threads == 1,
                )
    return {
        "missing": missing,
        "corpora": {name: {"n_texts": c.n_texts, "n_tokens": c.n_tokens, "sha256": c.sha256}
                    for name, c in corpora.items()},
        "rows": [summary(row) | _agreement(row) for row in rows],
    }  # fmt: skip


def available(engines: Sequence[Engine]) -> tuple[list[Engine], list[str]]:
    """The engines that can be made and run here, and why others cannot.

    Each is visited once, so that later visits find byte code, artifacts and page cache warm.
    """
    found, missing = [], []
    for engine in engines:
        try:
            with visit(engine):
                found.append(engine)
        except (UnavailableError, PeerError) as error:
            missing.append(f"{engine.name}: {error}")
    return found, missing


def visit_of(
    row: Row, engine: Engine, corpora: Mapping[str, Corpus], *, keep: bool = False
) -> None:
    """Visit an engine and add what is measured to its row."""
    with visit(engine, row.n_threads) as peer:
        row.cold_start_s.append(peer.cold_start_s)
        row.rss_loaded_mb.append(peer.memory().rss_mb)
        row.query_ms += peer.embed(corpora["queries"].file, group=1, kind="query")[N_WARM_QUERIES:]
        for name in BULK:
            saved = vectors_file(row.engine) if keep and name == "mixed" else None
            row.tokens_per_s[name].append(_throughput(peer, corpora[name], saved))
        memory = peer.memory()
        row.rss_after_mb.append(memory.rss_mb)
        row.peak_mb.append(memory.peak_mb)


def _throughput(peer: Peer, corpus: Corpus, saved: Path | None) -> float:
    [ms] = peer.embed(corpus.file, save=saved)
    return corpus.n_tokens / ms * 1000


def vectors_file(engine: str) -> Path:
    """Where an engine's vectors of the mixed corpus are kept for comparison."""
    return work("vectors", f"mixed {engine}.npy")


def summary(row: Row) -> dict[str, Any]:
    """Medians of a row's visits, with all visits' throughputs beside them."""
    return {
        "engine": row.engine,
        "n_threads": row.n_threads,
        "n_visits": len(row.cold_start_s),
        "tokens_per_s": {name: round(median(all_)) for name, all_ in row.tokens_per_s.items()},
        "visits_tokens_per_s": {n: [round(v) for v in vs] for n, vs in row.tokens_per_s.items()},
        "query_p50_ms": round(float(np.percentile(row.query_ms, 50)), 3),
        "query_p99_ms": round(float(np.percentile(row.query_ms, 99)), 3),
        "cold_start_s": round(median(row.cold_start_s), 3),
        "rss_loaded_mb": round(median(row.rss_loaded_mb)),
        "rss_after_mb": round(median(row.rss_after_mb)),
        "peak_mb": round(median(row.peak_mb)),
    }


def _agreement(row: Row) -> dict[str, float]:
    """Cosine of its vectors of the mixed corpus to the reference's, if both were measured."""
    if row.n_threads > 1 or not vectors_file(REFERENCE).exists():
        return {}
    cosine = cosines(np.load(vectors_file(row.engine)), np.load(vectors_file(REFERENCE)))
    return {"cosine_mean": float(cosine.mean()), "cosine_worst": float(cosine.min())}
