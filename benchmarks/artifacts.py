"""The artifacts that the runtime is measured with, made once and handed to fresh processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

from benchmarks.environments import MODEL, published
from benchmarks.paths import ROOT, WORK, work
from embedwell.core.artifact import Artifact

WIDE = ("768-d a", "768-d b")  # BERT-base in its sizes, of different random weights


def artifacts_file() -> Path:
    """A pickle of `load_artifacts`' answer, so that who reads it imports no converter."""
    from benchmarks.random_bert import random_bert
    from embedwell.app.config.settings import Settings
    from embedwell.app.models.obtain import artifact
    from embedwell.core.events import Watch

    settings = Settings(cache=WORK / "cache", model_files=published())
    found = {MODEL: artifact(settings, f"{MODEL}@q8", Watch())}
    for seed, name in enumerate(WIDE):
        folder = WORK / "models" / "random"
        make = [sys.executable, "-m", "benchmarks.random_bert", folder, "--seed", str(seed)]
        subprocess.run(make, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        found[name] = random_bert(folder, seed=seed)
    file = work("models", "artifacts.pickle")
    file.write_bytes(pickle.dumps(found))
    return file


def load_artifacts(file: Path) -> dict[str, Artifact]:
    """Artifacts by the name that the results use: the real model, and two of random weights."""
    found: dict[str, Artifact] = pickle.loads(file.read_bytes())
    return found
