"""Loads two models in turn, uses each in bulk and unloads it, ten times; prints its own memory.

python -m benchmarks.clients.unloading --texts FILE --artifacts FILE --n-cycles 10
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.memory import footprint


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--artifacts", type=Path, required=True)
    parser.add_argument("--n-cycles", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    from benchmarks.artifacts import WIDE, load_artifacts
    from benchmarks.environments import MODEL
    from embedwell.core.events import Watch
    from embedwell.runtime.loaded import LoadedModels
    from embedwell.runtime.states import Limits

    texts = json.loads(options.texts.read_text("utf-8"))
    known = load_artifacts(options.artifacts)
    artifacts = {name: known[name] for name in (MODEL, WIDE[0])}
    fresh = asdict(footprint(os.getpid()))
    import_engine()
    models = LoadedModels(Limits(8 << 30, 5, 0, options.threads))
    before = asdict(footprint(os.getpid()))
    rows: list[dict[str, Any]] = []
    for cycle in range(1, options.n_cycles + 1):
        for name, artifact in artifacts.items():
            with models.using(artifact, Watch()) as embedder:
                loaded = footprint(os.getpid())
                embedder.embed(texts, "document", Watch())
                used = footprint(os.getpid())
            del embedder  # or this name would keep what it holds alive
            models.unload(artifact)
            after = footprint(os.getpid())
            rows.append({"cycle": cycle, "model": name, "loaded": asdict(loaded),
                         "used": asdict(used), "after": asdict(after)})  # fmt: skip
    print(json.dumps({"fresh": fresh, "before": before, "rows": rows}))


def import_engine() -> None:
    """Bring in the libraries that run a model: they stay whatever is unloaded."""
    import embedwell.engines.onnx
    import embedwell.runtime.tokenizer  # noqa: F401


if __name__ == "__main__":
    main()
