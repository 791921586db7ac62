"""Vectors of whole data sets; a peer's are kept from run to run, embedwell's never."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from benchmarks.engines import Engine
from benchmarks.metrics import Floats
from benchmarks.paths import ROOT, work
from benchmarks.processes import visit
from benchmarks.texts import save


def vectors(engine: Engine, texts: Sequence[str], kind: str, n_threads: int) -> Floats:
    """Unit vectors of texts: float32, shape (len(texts), d)."""
    kept = work("vectors", f"{_identity(engine, texts)}.npy")
    if not (engine.environment and kept.exists()):
        with visit(engine, n_threads) as peer:
            peer.embed(save("set", texts, 0).file, kind=kind, save=kept)
    found: Floats = np.load(kept)
    return found


def _identity(engine: Engine, texts: Sequence[str]) -> str:
    """Hash of what determines an engine's vectors: its settings, versions and texts."""
    requirements = ROOT / "benchmarks" / f"requirements-{engine.environment}.txt"
    versions = requirements.read_text("utf-8") if engine.environment else ""
    content = json.dumps([repr(engine), versions, list(texts)])
    return hashlib.sha256(content.encode()).hexdigest()[:32]
