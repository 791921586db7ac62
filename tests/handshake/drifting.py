"""Embedders that drift, and stores to try them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from embedwell.core.build import BuildRecord
from embedwell.core.embedded import Embedded
from embedwell.core.events import Watch
from embedwell.core.space import Kind
from embedwell.core.vectors import normalized
from embedwell.stores.protocol import Document, DocumentChunks, Store, StoredChunk
from embedwell.testing import FAKE_BUILD, FakeEmbedder

WORDS = [
    "river",
    "stone",
    "bread",
    "index",
    "vector",
    "query",
    "python",
    "garden",
    "letter",
    "winter",
    "music",
    "engine",
]


def build(quantization: str = "q32", host: str = "fake", engine: str = "fake") -> BuildRecord:
    """A build record of the fake model."""
    return replace(
        FAKE_BUILD,
        artifact=f"fake@{quantization}",
        quantization=quantization,
        host=host,
        engine=engine,
    )


@dataclass
class Drifting(FakeEmbedder):
    """A fake whose vectors are off by noise of a length, the same for the same text."""

    noise: float = 0.0
    kinds: list[Kind] = field(default_factory=list)

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        self.kinds.append(kind)
        found = super().embed(texts, kind, watch)
        rows = [self._off(text) for text in texts]
        off = np.array(rows, np.float32).reshape(found.vectors.shape)
        return replace(found, vectors=normalized(found.vectors + self.noise * off))

    def _off(self, text: str):
        noise = self._vector(f"{text}-noise".replace(" ", "_"))
        return noise / np.linalg.norm(noise)


@dataclass
class Spoilt(FakeEmbedder):
    """A fake whose vectors something was done to."""

    value: float = np.nan

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        found = super().embed(texts, kind, watch)
        return replace(found, vectors=np.full_like(found.vectors, self.value))


def texts(n: int) -> list[str]:
    """Different texts of ten words."""
    random = np.random.default_rng(0)
    return [f"{' '.join(random.choice(WORDS, 9))} {number}" for number in range(n)]


def fill(store: Store, embedder: FakeEmbedder, n: int) -> None:
    """Store a document of n chunks, each with a title, embedded without a handshake."""
    passages = texts(n)
    vectors = embedder.embed([f"Title\n{text}" for text in passages], "document", Watch()).vectors
    chunks = [
        StoredChunk(at, at + 1, at + 1, at + 1, "Title", text, str(at))
        for at, text in enumerate(passages)
    ]
    document = Document("a.md", 1, 1, "0" * 64, "text", "markdown")
    store.put([DocumentChunks(document, chunks, vectors)])
