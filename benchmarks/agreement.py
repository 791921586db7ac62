"""How close each quantization stays to fp32, and whether a vector depends on its company."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines import DYNAMIC, ENGINES, REFERENCE, Engine
from benchmarks.metrics import Floats, cosines
from benchmarks.paths import work
from benchmarks.processes import Peer, visit
from benchmarks.texts import Corpus, odd_texts, save

N_ALONE = 500  # texts embedded once more, each in a call of its own
N_PAIRED = 100  # texts embedded once more beside the longest one
COMPARED = ("embedwell q16", "embedwell q8", "embedwell q4", DYNAMIC)
FP32 = "embedwell q32"


def measure(corpus: Corpus, n_threads: int) -> dict[str, Any]:
    """Cosines of every quantization to fp32, natural and odd texts; returns what JSON keeps."""
    natural: list[str] = json.loads(corpus.file.read_text("utf-8"))
    odd = save("odd", odd_texts(), 0).file
    alone = save("alone", natural[:N_ALONE], 0).file
    longest = max(natural, key=len)
    paired = [text for short in natural[:N_PAIRED] for text in (short, longest)]
    files = {"natural": corpus.file, "odd": odd, "alone": alone,
             "paired": save("paired", paired, 0).file}  # fmt: skip
    fp32 = _vectors(ENGINES[FP32], files, n_threads)
    with visit(ENGINES[REFERENCE], n_threads) as peer:
        reference = {name: _embed(peer, files[name], 0) for name in ("natural", "odd")}
    rows = [_row(FP32, fp32, reference) | {"compared_with": REFERENCE}]
    for name in COMPARED:
        rows.append(_row(name, _vectors(ENGINES[name], files, n_threads), fp32))
        rows[-1]["compared_with"] = FP32
    return {"n_natural": len(natural), "n_odd": len(odd_texts()), "sha256": corpus.sha256,
            "rows": rows}  # fmt: skip


def _vectors(engine: Engine, files: dict[str, Path], n_threads: int) -> dict[str, Floats]:
    print(f"  {engine.name}", flush=True)
    groups = {"natural": 0, "odd": 0, "alone": 1, "paired": 2}
    with visit(engine, n_threads) as peer:
        return {name: _embed(peer, file, groups[name]) for name, file in files.items()}


def _embed(peer: Peer, texts: Path, group: int) -> Floats:
    saved = work("vectors", "last.npy")
    peer.embed(texts, group=group, save=saved)
    vectors: Floats = np.load(saved)
    return vectors


def _row(name: str, vectors: dict[str, Floats], reference: dict[str, Floats]) -> dict[str, Any]:
    natural = cosines(vectors["natural"], reference["natural"])
    odd = cosines(vectors["odd"], reference["odd"])
    alone = cosines(vectors["alone"], vectors["natural"][:N_ALONE])
    paired = cosines(vectors["paired"][::2], vectors["natural"][:N_PAIRED])
    return {
        "engine": name,
        "natural_mean": float(natural.mean()),
        "natural_worst": float(natural.min()),
        "odd_mean": float(odd.mean()),
        "odd_worst": float(odd.min()),
        "odd_worst_text": odd_texts()[int(odd.argmin())][:40],
        "company_worst": float(min(alone.min(), paired.min())),
    }
