"""llama.cpp, compiled with AVX2 and without, beside our network on the same GGUF files.

Speed, memory, and how far each one's vectors are from the others', as the handshake measures it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil

from benchmarks.environments import COMPILED, MODEL, UnavailableError, model_file, published, python
from benchmarks.paths import ROOT, WORK
from embedwell.app.config.settings import Settings
from embedwell.app.models.obtain import artifact, pull_source
from embedwell.core.artifact import Artifact
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray
from embedwell.engines import llamacpp_process
from embedwell.engines.llamacpp_child import Start, packed
from embedwell.engines.protocol import EngineBuild, TokenBatch
from embedwell.engines.registry import open_engine
from embedwell.handshake import drift as handshake
from embedwell.handshake.probes import PROBES, embed_probes
from embedwell.models.catalogue import PinnedFile, card
from embedwell.models.convert import convert
from embedwell.models.source import SourceFiles
from embedwell.runtime.embedder import LocalEmbedder

KINDS = {"F32": "gguf-F32", "Q8_0": "gguf", "Q4_0": "gguf-Q4_0"}
N_QUERIES = 50
N_ROUNDS = 3


@dataclass(frozen=True)
class Embedded:
    """What one build made of the probe texts."""

    name: str
    kind: str
    vectors: FloatArray


class Compiled:
    """llama.cpp of another environment, as an engine on one thread."""

    def __init__(self, environment: str, file: Path) -> None:
        space = card(MODEL).space
        program = ("-P", "-m", "embedwell.engines.llamacpp_child")
        llamacpp_process.PROGRAM = (str(python(environment)), *program)
        os.environ["PYTHONPATH"] = str(ROOT / "src")
        start = Start(str(file), space.pooling, space.max_tokens, 1)
        self._dimensions = space.dimensions
        self.process = llamacpp_process.Process(start)
        self.system = self.process.about.system
        digest = hashlib.sha256(f"{environment} {self.system}".encode()).hexdigest()
        self.build = EngineBuild("llamacpp", "", digest)

    def run(self, batch: TokenBatch) -> FloatArray:
        rows = zip(batch.ids.astype(np.int32), batch.mask.sum(axis=1), strict=True)
        answer = self.process.ask(packed([row[:n] for row, n in rows]), 300)
        return np.frombuffer(answer, np.float32).reshape(-1, self._dimensions).copy()

    def close(self) -> None:
        self.process.close()


def measure() -> dict[str, Any]:
    """Rows of speed, and rows of drift between any two builds on one file."""
    settings = Settings(cache=WORK / "cache", model_files=published())
    speeds: list[dict[str, Any]] = []
    found: list[Embedded] = []
    missing: list[str] = []
    right = artifact(settings, f"{MODEL}@q32", Watch())
    for level in ("q32", "q8"):
        made = artifact(settings, f"{MODEL}@{level}", Watch())
        with _opened(made) as embedder:
            name = f"embedwell {level}"
            row = _speed(name, "safetensors", embedder, psutil.Process())
            speeds.append(row | {"rss_mb": _resident_mb(made)})
            found.append(Embedded(name, "safetensors", _probes(embedder)))
    for kind, form in KINDS.items():
        with _reader(settings, model_file(form)) as embedder:
            found.append(Embedded("embedwell's reader", kind, _probes(embedder)))
        for environment in COMPILED:
            try:
                engine = Compiled(environment, model_file(form))
            except UnavailableError as error:
                missing.append(str(error))
                continue
            embedder = LocalEmbedder(replace(right, key=f"{environment} {kind}"), engine)
            name = f"llama.cpp {environment.removeprefix('llama-cpp-')}"
            child = psutil.Process(engine.process.pid)
            row = _speed(name, kind, embedder, child)
            speeds.append(row | {"system": engine.system, "rss_mb": child.memory_info().rss / 1e6})
            found.append(Embedded(name, kind, _probes(embedder)))
            embedder.close()
    return {"speed": speeds, "drift": _drifts(found), "missing": sorted(set(missing))}


def _resident_mb(made: Artifact) -> float:
    """Of a fresh process that has loaded an artifact."""
    program = [sys.executable, "-P", "-m", "embedwell.app.checks.engine_child"]
    with TemporaryDirectory() as folder:
        row = asdict(made) | {"folder": str(made.folder)}
        request = {"engine": made.engine, "artifact": row, "n_threads": 1, "part_s": 0.1}
        done = subprocess.run(
            program, input=json.dumps(request | {"vectors": f"{folder}/v.npy"}),
            capture_output=True, check=True, text=True,
        )  # fmt: skip
    return json.loads(done.stdout)["loaded_bytes"] / 1e6


@contextmanager
def _opened(made: Artifact) -> Iterator[LocalEmbedder]:
    embedder = LocalEmbedder(made, open_engine(made, 1))
    try:
        yield embedder
    finally:
        embedder.close()


@contextmanager
def _reader(settings: Settings, file: Path) -> Iterator[LocalEmbedder]:
    """Our network on the numbers in a GGUF file, at q32."""
    source = pull_source(settings, card(MODEL), Watch())
    row = replace(source.card, files={file.name: PinnedFile("", 0)})
    with TemporaryDirectory() as folder:
        convert(SourceFiles(row, {file.name: file}, "local"), "q32", "onnx", Path(folder), Watch())
        made = artifact(settings, f"{MODEL}@q32", Watch())
        with _opened(replace(made, folder=Path(folder), key=file.parent.name)) as embedder:
            yield embedder


def _probes(embedder: LocalEmbedder) -> FloatArray:
    return embed_probes(embedder, Watch())[1]


def _speed(name: str, kind: str, embedder: LocalEmbedder, who: psutil.Process) -> dict[str, Any]:
    """Tokens in the best of some rounds, and queries one by one, by processor time."""
    texts = [probe.text for probe in PROBES if not probe.is_odd]
    n_tokens = int(embedder.embed(texts, "document", Watch()).n_tokens.clip(max=256).sum())

    def took(call: Callable[[], object]) -> float:
        began = sum(who.cpu_times()[:2])
        call()
        return sum(who.cpu_times()[:2]) - began

    best = min(took(lambda: embedder.embed(texts, "document", Watch())) for _ in range(N_ROUNDS))
    queries = [f"how do I change setting {number} of it" for number in range(N_QUERIES)]
    alone = took(lambda: [embedder.embed([query], "query", Watch()) for query in queries])
    return {
        "name": name,
        "kind": kind,
        "tokens_per_cpu_s": round(n_tokens / best),
        "query_ms": round(1000 * alone / N_QUERIES, 2),
    }


def _drifts(found: list[Embedded]) -> list[dict[str, Any]]:
    """Of every reader on every writer's vectors, of one file or of the product's own artifacts."""
    own = [one for one in found if one.kind == "safetensors"]
    rows = []
    for kind in KINDS:
        alike = [*own, *(one for one in found if one.kind == kind)]
        for writer, reader in permutations(alike, 2):
            if writer in own and reader in own:
                continue
            drift = handshake.measure(writer.vectors, reader.vectors, PROBES)
            rows.append(
                {"kind": kind, "writer": writer.name, "reader": reader.name}
                | asdict(drift)
                | {"admitted": drift.within(handshake.BOUNDS)}
            )
    return rows
