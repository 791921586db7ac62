"""Memory of one artifact in a process that does nothing else: loaded, asked, and after bulk.

`python -m benchmarks.clients.one_model FOLDER` prints one line of JSON, in MB of 10^6 bytes and
milliseconds.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from pathlib import Path

from embedwell.core.device import resident_bytes
from embedwell.core.events import Watch
from embedwell.engines.registry import import_engine, open_engine
from embedwell.models.manifest import read_manifest
from embedwell.runtime.embedder import LocalEmbedder

N_QUERIES = 40
N_TEXTS = 64


def main(folder: Path) -> None:
    artifact = read_manifest(folder).artifact
    import_engine(artifact.engine)
    before = resident_bytes()
    embedder = LocalEmbedder(artifact, open_engine(artifact, 1))
    watch, drawn = Watch(), random.Random(0)
    embedder.embed(["one query of seven short words here"], "query", watch)
    loaded = resident_bytes()
    times = []
    for _ in range(N_QUERIES):
        query = words(drawn, 8)
        began = time.perf_counter()
        embedder.embed([query], "query", watch)
        times.append(time.perf_counter() - began)
    embedder.embed([words(drawn, 80) for _ in range(N_TEXTS)], "document", watch)
    found = {
        "before_mb": before / 1e6,
        "loaded_mb": loaded / 1e6,
        "after_mb": resident_bytes() / 1e6,
        "query_p50_ms": 1e3 * statistics.median(times),
    }
    print(json.dumps({name: round(value, 1) for name, value in found.items()}))


def words(drawn: random.Random, n: int) -> str:
    """So many made-up words of two to nine letters."""
    letters = "etaoinshrdlu"
    return " ".join("".join(drawn.choices(letters, k=drawn.randint(2, 9))) for _ in range(n))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
