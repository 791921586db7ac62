"""A model for text and one for code together: memory, latency, and what they find.

Memory and latency are those of the default pair's networks with random weights at q8. What they
find is measured with two models of real weights that can be had: one is the pair's text model, the
other its code model, and each alone beside them.

`MPNET` names the folder of all-mpnet-base-v2's published files; without it quality is left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.daemon import embedwell_service
from benchmarks.datasets import Retrieval, cosqa, scifact
from benchmarks.environments import UnavailableError, published, python
from benchmarks.metrics import Floats, ndcg, reciprocal_rank
from benchmarks.model_memory import random_source
from benchmarks.paths import ROOT, work
from benchmarks.processes import environment, memory_of
from embedwell import DualEmbeddingService, Embedder, EmbeddingDomain
from embedwell.core.space import Space
from embedwell.handshake.probes import PROBES
from embedwell.search.results import SearchResult
from embedwell.search.searcher import QueryVector, Searcher
from embedwell.stores.protocol import (
    ChunkKind,
    CodeSpace,
    CollectionSettings,
    Document,
    DocumentChunks,
    Store,
    StoredChunk,
)
from embedwell.stores.registry import create_store
from embedwell.stores.spaces import Reference
from embedwell.testing import FAKE_BUILD, FAKE_SPACE

N_FUNCTIONS, N_ABSTRACTS, N_CLAIMS = 1500, 700, 150
N_LATENCIES = 60
TEXTS = ["how are retries configured after a failed connection", "def retry(times): ..."] * 16
MINILM, MPNET = "all-MiniLM-L6-v2", "all-mpnet-base-v2"
CLIENT = """
import embedwell, json, sys
texts = json.loads(sys.argv[1])
for model in sys.argv[2:]:
    with embedwell.Embedder(model) as embedder:
        embedder.embed(texts)
        assert embedder.space.dimensions == 768
"""


def measure(data: Path) -> dict[str, Any]:
    """All of it; `ONLY` names some of: memory, latency, quality."""
    parts: dict[str, Callable[[], Any]] = {
        "memory": _memory,
        "latency": _latency,
        "quality": lambda: _quality(data),
    }
    only = [name for name in os.environ.get("ONLY", "").split(";") if name] or list(parts)
    with _pair_of_random_weights():
        return {name: parts[name]() for name in only}


@contextmanager
def _pair_of_random_weights():
    """The two networks as files of the user's own, converted in a cache that goes afterwards."""
    with TemporaryDirectory(dir=work("text_and_code", "x").parent) as folder:
        place = Path(folder)
        names = {}
        for key, network in (("text", "nomic_bert 768 x 12"), ("code", "jina_bert_v2 768 x 12")):
            random_source(network, place / key)
            names[key] = f"file:{place / key}"
        settings = {
            "EMBEDWELL_CACHE": str(place / "cache"),
            "EMBEDWELL_MODEL": names["text"],
            "EMBEDWELL_CODE_MODEL": names["code"],
            "EMBEDWELL_QUANTIZATION": "q8",
            "EMBEDWELL_THREADS": "1",
            "EMBEDWELL_MODELS_AT_ONCE": "2",
            "EMBEDWELL_SERVICE": "off",
            "EMBEDWELL_VECTOR_CACHE_ENTRIES": "0",
        }
        with patch.dict(os.environ, settings):
            for name in names.values():
                print(f"  making {name}@q8", flush=True)
                with Embedder(name):
                    pass
            yield


def _memory() -> list[dict[str, Any]]:
    """Resident memory of the service, and of sentence-transformers beside it."""
    text, code = os.environ["EMBEDWELL_MODEL"], os.environ["EMBEDWELL_CODE_MODEL"]
    rows = []
    for loaded, models in (
        ("text alone", [text]),
        ("code alone", [code]),
        ("text and code", [text, code]),
    ):
        rows.append({"loaded": loaded, "embedwell": _served(models), "peer": _peer(len(models))})
        print(f"  {rows[-1]}", flush=True)
    return rows


def _served(models: Sequence[str]) -> float:
    own = {name: value for name, value in os.environ.items() if name.startswith("EMBEDWELL_")}
    own = {name: value for name, value in own.items() if name != "EMBEDWELL_SERVICE"}
    with embedwell_service(1, own | {"EMBEDWELL_SERVICE": "off"}) as service:
        client = environment(1) | own | dict(service.extra) | {"EMBEDWELL_SERVICE": "require"}
        # A handle that closes lets go of its model: the pair is pinned, as an application's is.
        command = [sys.executable, "-c", CLIENT, json.dumps(TEXTS), *models]
        subprocess.run(command, check=True, env=client, cwd=ROOT)
        return memory_of(service.pid).rss_mb


def _peer(n_models: int) -> float | None:
    try:
        interpreter = os.environ.get("PEER_PYTHON") or str(python("sentence-transformers"))
    except UnavailableError as error:
        print(f"Left out: {error}", flush=True)
        return None
    texts = work("text_and_code", "texts.json")
    texts.write_text(json.dumps(TEXTS))
    folder, tokenizer = work("text_and_code", "bert", "x").parent, published() / "tokenizer.json"
    command = [interpreter, "-m", "benchmarks.peers.pair", folder, tokenizer, texts]

    def run(count: int) -> str:
        words = [str(word) for word in (*command, count)]
        return subprocess.run(
            words, check=True, env=environment(1), cwd=ROOT, capture_output=True, text=True
        ).stdout

    if not (folder / "model.safetensors").exists():
        run(0)
    found: float = json.loads(run(n_models).splitlines()[-1])["rss_mb"]
    return found


def _latency() -> list[dict[str, Any]]:
    """One query in each domain, in this process: how long it takes, and processor time, in ms."""

    async def run() -> list[dict[str, Any]]:
        rows = []
        async with DualEmbeddingService() as service:
            for domain in EmbeddingDomain:
                await service.generate_embedding("warm", domain)
            for domain in EmbeddingDomain:
                took, busy = [], []
                for number in range(N_LATENCIES):
                    began, used = time.perf_counter(), time.process_time()
                    text = f"how is the retry number {number} configured"
                    await service.generate_embedding(text, domain, kind="query")
                    took.append(1000 * (time.perf_counter() - began))
                    busy.append(1000 * (time.process_time() - used))
                row: dict[str, Any] = {"domain": domain.name}
                row["p50_ms"] = round(statistics.median(took), 2)
                row["p95_ms"] = round(statistics.quantiles(took, n=20)[-1], 2)
                row["processor_ms"] = round(statistics.median(busy), 2)
                rows.append(row)
        return rows

    return asyncio.run(run())


def _quality(data: Path) -> list[dict[str, Any]]:
    """nDCG@10 and MRR of each way to split the models over one index of functions and abstracts."""
    if "MPNET" not in os.environ:
        print("Left out: quality; MPNET names no folder", flush=True)
        return []
    sets = _sample(cosqa(data), scifact(data))
    settings = {"EMBEDWELL_MODEL_FILES": str(published()), "EMBEDWELL_CODE_MODEL": ""}
    with patch.dict(os.environ, settings):
        models = {
            MINILM: _vectors(MINILM, sets),
            MPNET: _vectors(f"file:{os.environ['MPNET']}", sets),
        }
    rows = []
    for label, text, code, domain in (
        (f"{MINILM} alone", MINILM, None, ""),
        (f"{MPNET} alone", MPNET, None, ""),
        (f"text {MINILM}, code {MPNET}, split", MINILM, MPNET, "split"),
        (f"text {MINILM}, code {MPNET}, hybrid", MINILM, MPNET, "hybrid"),
        (f"text {MPNET}, code {MINILM}, split", MPNET, MINILM, "split"),
        (f"text {MPNET}, code {MINILM}, hybrid", MPNET, MINILM, "hybrid"),
    ):
        found = _searched(sets, models, text, code, domain)
        rows.append({"models": label} | found)
        print(f"  {rows[-1]}", flush=True)
    return rows


def _sample(code: Retrieval, text: Retrieval) -> tuple[Retrieval, Retrieval]:
    """All questions of the one and some of the other, with their answers and others beside them."""
    drawn = random.Random(0)
    some = dict(list(text.questions.items())[:N_CLAIMS])
    return (
        _with(code, code.questions, N_FUNCTIONS, drawn),
        _with(text, some, N_ABSTRACTS, drawn),
    )


def _with(
    whole: Retrieval, questions: Mapping[str, str], n_others: int, drawn: random.Random
) -> Retrieval:
    needed = {answer for question in questions for answer in whole.answers[question]}
    kept = needed | set(drawn.sample(sorted(whole.documents), n_others))
    documents = {id_: text for id_, text in whole.documents.items() if id_ in kept}
    return replace(whole, documents=documents, questions=dict(questions))


def _vectors(model: str, sets: Sequence[Retrieval]) -> list[Floats]:
    """Of each set's documents and questions, then of the probe texts."""
    print(f"  embedding with {model}", flush=True)
    with Embedder(model) as embedder:
        parts = [
            embedder.embed(list(texts.values()), kind)
            for one in sets
            for texts, kind in ((one.documents, "document"), (one.questions, "query"))
        ]
        return [*parts, embedder.embed([probe.text for probe in PROBES])]


def _searched(
    sets: Sequence[Retrieval],
    models: Mapping[str, Sequence[Floats]],
    text: str,
    code: str | None,
    domain: str,
) -> dict[str, float]:
    main, second = models[text], models[code] if code else None
    pair = CodeSpace(_space(code, second), hybrid=domain == "hybrid") if second else None
    settings = CollectionSettings(_space(text, main), 256, "", pair)
    with TemporaryDirectory() as folder:
        store = create_store(f"{folder}/index.db", settings)
        try:
            return _scores(store, sets, main, second)
        finally:
            store.close()


def _scores(
    store: Store, sets: Sequence[Retrieval], main: Sequence[Floats], second: Sequence[Floats] | None
) -> dict[str, float]:
    """What each set's questions find among all documents."""
    spaces = store.spaces.all()
    for stored, vectors in zip(spaces, (main, second), strict=False):
        store.spaces.refer(stored.number, Reference("probes", vectors[-1], FAKE_BUILD))
    for at, (one, kind) in enumerate(zip(sets, ("code", "text"), strict=True)):
        store.put(_documents(one, kind, at, spaces, (main, second)))
    found: dict[str, float] = {}
    for at, one in enumerate(sets):
        asked = dict(zip(one.questions.values(), range(len(one.questions)), strict=True))

        def embed(query: str, _where: object, at: int = at, asked: dict[str, int] = asked):
            rows = [
                parts[2 * at + 1][asked[query]] for parts in (main, second) if parts is not None
            ]
            return [
                QueryVector(row, stored.number) for row, stored in zip(rows, spaces, strict=True)
            ]

        searcher = Searcher(store, embed)
        for mode in ("semantic", "hybrid"):
            ranked = {
                id_: _ids(searcher.search(question, 10, mode).results, at)
                for id_, question in one.questions.items()
            }
            for name, measured in (("nDCG@10", ndcg), ("MRR", reciprocal_rank)):
                scores = [measured(ranked[id_], one.answers[id_]) for id_ in one.questions]
                found[f"{one.name} {mode} {name}"] = round(100 * statistics.mean(scores), 1)
    return found


def _ids(results: Sequence[SearchResult], at: int) -> list[str]:
    """Ids of what was found of a set, in its place among what is of the other."""
    keys = [result.chunk.key for result in results]
    return [key[1:] if key[0] == str(at) else f"other {place}" for place, key in enumerate(keys)]


def _space(name: str | None, vectors: Sequence[Floats]) -> Space:
    return replace(FAKE_SPACE, model=name or "", dimensions=vectors[0].shape[1])


def _documents(one, kind: ChunkKind, at: int, spaces, vectors) -> list[DocumentChunks]:
    main, second = vectors
    found = []
    none = np.empty((0, main[0].shape[1]), np.float32)
    for row, (id_, text) in enumerate(one.documents.items()):
        document = Document(f"{at}{id_}", len(text), 0, "", kind, "", is_record=True)
        chunk = StoredChunk(0, len(text), 1, 1, "", text, f"{at} {id_}")
        own = main[2 * at][row][None] if kind in spaces[0].holds else none
        other = second[2 * at][row][None] if second is not None and kind == "code" else None
        found.append(DocumentChunks(document, [chunk], own, other))
    return found
