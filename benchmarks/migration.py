"""Migrations 384 → 768 → 384 while four readers search and one writer writes.

All of it in one process, so that both models are loaded once: each reader, the writer and the
migration have a store of their own over one file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.artifacts import WIDE, artifacts_file, load_artifacts
from benchmarks.environments import MODEL, published
from benchmarks.paths import work
from benchmarks.texts import cut, passages, word_marks
from embedwell.core.artifact import Artifact
from embedwell.core.errors import SpaceMovedError
from embedwell.core.events import Watch
from embedwell.engines.registry import open_engine
from embedwell.handshake.admit import AdmittedEmbedder, admitted
from embedwell.jobs.migrate import found_space, migrate
from embedwell.jobs.records import Record, add_records
from embedwell.runtime.embedder import LocalEmbedder
from embedwell.search.searcher import QueryVector, Searcher
from embedwell.stores.protocol import CollectionSettings, Store
from embedwell.stores.registry import create_store, open_store
from embedwell.stores.spaces import StoredSpace

N_CHUNKS, N_READERS, N_WRITTEN = 20_000, 4, 200
WORDS = (8, 20)
QUERIES = 200


@dataclass
class Reader:
    """What a reader saw: when it searched, how long that took, in which space."""

    at: list[float] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)
    spaces: list[str] = field(default_factory=list)
    n_again: int = 0
    n_failed: int = 0


class Models:
    """The models of both spaces, loaded once; each store gets an admitted embedder of its own."""

    def __init__(self, artifacts: list[Artifact], n_threads: int) -> None:
        self._by_model = {
            artifact.space.model: LocalEmbedder(artifact, open_engine(artifact, n_threads))
            for artifact in artifacts
        }

    def of(self, store: Store, stored: StoredSpace) -> AdmittedEmbedder:
        embedder = self._by_model[stored.space.model]
        return admitted(store, stored.number, embedder, (), "the benchmark")

    def main(self, store: Store) -> AdmittedEmbedder:
        return self.of(store, store.spaces.main())

    def rate(self, model: str, texts: list[str]) -> float:
        """Texts that a model embeds in a second when nothing else runs."""
        began = time.perf_counter()
        self._by_model[model].embed(texts, "document", Watch())
        return len(texts) / (time.perf_counter() - began)


def measure(data: Path, n_threads: int, n_chunks: int = N_CHUNKS) -> dict[str, Any]:
    """Migrate there and back under load; what readers saw, and whether the end is as new."""
    artifacts = load_artifacts(artifacts_file())
    narrow, wide = artifacts[MODEL], artifacts[WIDE[0]]
    models = Models([narrow, wide], n_threads)
    texts = _texts(data, n_chunks + N_WRITTEN)
    with TemporaryDirectory(dir=work()) as folder:
        place = Path(folder) / "index.db"
        with closing(create_store(place, CollectionSettings(narrow.space, 200))) as store:
            _add(store, models, texts[:n_chunks], 0)
            quiet = _quiet(store, models, texts[:QUERIES])
            alone = {
                a.space.model: models.rate(a.space.model, texts[:1000]) for a in (narrow, wide)
            }
            with _load(place, models, texts, n_chunks) as readers:
                steps = [_migrate(place, models, artifact, alone) for artifact in (wide, narrow)]
            same = _as_new(store, models, Path(folder))
            return {
                "n_chunks": store.counts().chunks,
                "steps": steps,
                "quiet_p50_ms": quiet,
                "n_queries": QUERIES,
                "readers": [_summary(reader) for reader in readers],
                "faults": store.check(),
                "equal_to_fresh": same,
            }


def _texts(data: Path, n: int) -> list[str]:
    drawn = np.random.default_rng(4)
    lengths = drawn.integers(*WORDS, n).tolist()
    marks = word_marks(published() / "tokenizer.json")
    return [f"{text} {at}" for at, text in enumerate(cut(passages(data), lengths, marks, "move"))]


def _add(store: Store, models: Models, texts: list[str], first: int) -> None:
    records = [Record(f"r{first + at}", text, {}) for at, text in enumerate(texts)]
    add_records(records, store, lambda: models.main(store))


@contextmanager
def _load(place: Path, models: Models, texts: list[str], first: int) -> Iterator[list[Reader]]:
    """Readers and a writer, until the block ends."""
    stop, readers = threading.Event(), [Reader() for _ in range(N_READERS)]
    with ThreadPoolExecutor(N_READERS + 1) as pool:
        jobs = [
            pool.submit(_read, place, models, texts[at * 50 : at * 50 + QUERIES], reader, stop)
            for at, reader in enumerate(readers)
        ]
        jobs.append(pool.submit(_write, place, models, texts[first:], first, stop))
        try:
            yield readers
        finally:
            stop.set()
        for job in jobs:
            job.result()


def _read(
    place: Path, models: Models, queries: list[str], reader: Reader, stop: threading.Event
) -> None:
    with closing(open_store(place)) as store:
        at = 0
        while not stop.wait(0.05):
            began = time.perf_counter()
            found = _search(store, models, queries[at % len(queries)], reader)
            reader.at.append(began)
            reader.took_ms.append(1000 * (time.perf_counter() - began))
            reader.spaces.append(found.space)
            reader.n_failed += not found.results or found.results[0].similarity < 0.95
            at += 1


def _search(store: Store, models: Models, query: str, reader: Reader):
    """As an index does it: once more where a migration ends in this moment."""

    def vector(text: str) -> QueryVector:
        embedder = models.main(store)
        return QueryVector(embedder.embed([text], "query", Watch()).vectors[0], embedder.number)

    searcher = Searcher(store, lambda text, _: [vector(text)])
    try:
        return searcher.search(query, 10, "semantic")
    except SpaceMovedError:
        reader.n_again += 1
        return searcher.search(query, 10, "semantic")


def _write(
    place: Path, models: Models, texts: list[str], first: int, stop: threading.Event
) -> None:
    with closing(open_store(place)) as store:
        for at, text in enumerate(texts):
            if stop.wait(0.3):
                return
            _add(store, models, [text], first + at)


def _migrate(
    place: Path, models: Models, artifact: Artifact, alone: dict[str, float]
) -> dict[str, Any]:
    with closing(open_store(place)) as store:
        before = store.counts().size_bytes
        stored = found_space(store, artifact.space, artifact.name, keep_both=False)
        stored = stored or store.spaces.add(artifact.space, "next", artifact.name)
        report = migrate(store, models.of(store, stored), Watch())
        return {
            "to": artifact.name,
            "took_s": report.took_s,
            "chunks_per_s": report.n_embedded / report.took_s,
            "alone_per_s": alone[artifact.space.model],
            "validation": asdict(report.validation),
            "before_mb": before / 1e6,
            "after_mb": store.compact().after_bytes / 1e6,
        }


def _quiet(store: Store, models: Models, queries: list[str]) -> float:
    """Median of a search, its query embedded, when nothing else runs."""
    reader, took = Reader(), []
    for query in queries:
        began = time.perf_counter()
        _search(store, models, query, reader)
        took.append(1000 * (time.perf_counter() - began))
    return median(took)


def _as_new(store: Store, models: Models, folder: Path) -> dict[str, float]:
    """The final state beside a fresh index of the same texts: counts, cosines and first tens."""
    number = store.spaces.main().number
    ids = store.spaces.sample(number, 1_000_000)
    chunks = store.chunks(ids.tolist())
    with closing(create_store(folder / "fresh.db", store.settings)) as fresh:
        records = [Record(one.key, one.chunk.text, {}) for one in chunks]
        add_records(records, fresh, lambda: models.main(fresh))
        new = fresh.spaces.sample(1, 1_000_000)
        cosines = np.einsum(
            "nd,nd->n", store.spaces.vectors(number, ids), fresh.spaces.vectors(1, new)
        )
        queries = [one.chunk.text for one in chunks[:QUERIES]]
        same = [_keys(store, models, q) == _keys(fresh, models, q) for q in queries]
        return {
            "missing": len(new) - len(ids),
            "worst_cosine": float(cosines.min()),
            "same_results": float(np.mean(same)),
        }


def _keys(store: Store, models: Models, query: str) -> list[str]:
    found = _search(store, models, query, Reader())
    return [result.chunk.key for result in found.results]


def _summary(reader: Reader) -> dict[str, Any]:
    took = np.array(reader.took_ms)
    return {
        "n": len(took),
        "n_failed": reader.n_failed,
        "n_again": reader.n_again,
        "n_spaces": len(set(reader.spaces)),
        "p50_ms": float(np.median(took)),
        "p99_ms": float(np.percentile(took, 99)),
        "max_ms": float(took.max()),
    }
