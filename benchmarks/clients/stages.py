"""What a service, or a client of one, takes after each step of its start; prints its own memory.

python -m benchmarks.clients.stages service --texts FILE
python -m benchmarks.clients.stages client --texts FILE     # with a service to be found
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

PER_REQUEST = 256


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("who", choices=["service", "client"])
    parser.add_argument("--texts", type=Path, required=True)
    options = parser.parse_args()
    stages = service(options.texts) if options.who == "service" else client(options.texts)
    json.dump([{"stage": stage} | memory() for stage in stages], sys.stdout)


def memory() -> dict[str, float]:
    """Read here and not by the benchmarks' own module, which would bring others in."""
    lines = Path(f"/proc/{os.getpid()}/smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
    names = {"rss_mb": "Rss", "private_mb": "Private_Dirty"}
    return {name: round(kib[field] * 1.024e-3, 1) for name, field in names.items()}


def service(file: Path) -> Iterator[str]:
    yield "the interpreter"
    import numpy as np

    yield "numpy"
    import starlette.applications
    import uvicorn

    yield "starlette and uvicorn"
    from embedwell.app.config.configuration import load
    from embedwell.core.events import Watch
    from embedwell.server.application import application
    from embedwell.server.shared.service import Service

    running = Service(load({}).settings)
    uvicorn.Config(application(running)).load()
    yield "embedwell's own"
    import onnxruntime
    import tokenizers

    yield "onnxruntime and tokenizers"
    model = "all-MiniLM-L6-v2@q8"
    running.runtime.load(model, Watch())
    yield "the model, loaded"
    running.runtime.embed(model, ["hello world"], "query", Watch())
    yield "one text"
    texts = json.loads(file.read_text("utf-8"))
    yield "the texts themselves, in this process"
    for begin in range(0, len(texts), PER_REQUEST):
        running.runtime.embed(model, texts[begin : begin + PER_REQUEST], "document", Watch())
    yield f"{len(texts):,} texts embedded"
    running.runtime.unload(model)
    yield "the model, unloaded"
    del np, starlette, onnxruntime, tokenizers


def client(file: Path) -> Iterator[str]:
    yield "the interpreter"
    import numpy as np

    yield "numpy"
    import embedwell

    embedder = embedwell.Embedder()
    yield "embedwell's own"
    embedder.embed(["hello world"])
    yield "one text"
    texts = json.loads(file.read_text("utf-8"))
    yield "the texts themselves"
    for begin in range(0, len(texts), PER_REQUEST):
        embedder.embed(texts[begin : begin + PER_REQUEST])
    yield f"{len(texts):,} texts embedded"
    del np


if __name__ == "__main__":
    main()
