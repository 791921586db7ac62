"""Fakes for the tests of programs that use embedwell."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from embedwell.core.build import BuildRecord
from embedwell.core.embedded import Embedded
from embedwell.core.events import Watch
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import FloatArray, IntArray, normalized
from embedwell.handshake.admit import AdmittedEmbedder, admitted
from embedwell.runtime.relevance import Relevance
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.protocol import Store

__all__ = [
    "FAKE_BUILD",
    "FAKE_SPACE",
    "FakeEmbedder",
    "FakeReranker",
    "MemoryStore",
    "admitted_fake",
    "word_starts",
]

_WORD = re.compile(r"\S+")


def word_starts(text: str) -> IntArray:
    """Stand in for a tokenizer: every word is one token.

    Returns:
        int64, shape (n_words,): offset in code points of each word's first character.
    """
    return np.array([match.start() for match in _WORD.finditer(text)], dtype=np.int64)


FAKE_SPACE = Space(
    model="fake",
    revision="1",
    pooling="mean",
    normalized=True,
    query_prompt="",
    document_prompt="",
    max_tokens=64,
    dimensions=32,
)

FAKE_BUILD = BuildRecord(
    artifact="fake@q32",
    artifact_key="0" * 64,
    weights_sha256="0" * 64,
    tokenizer_sha256="0" * 64,
    quantization="q32",
    engine="fake",
    engine_version="1",
    native="0" * 40,
    tokenizers_version="1",
    cpu=("fake",),
    host="fake",
    made_at="2000-01-01T00:00:00+00:00",
)


@dataclass
class FakeEmbedder:
    """A `TextEmbedder` without a model: texts that share words are near each other.

    Attributes:
        space: What it claims to be.
        build: What it claims to compute with.
        seen: Every text that it was given, in order.
    """

    space: Space = FAKE_SPACE
    build: BuildRecord = FAKE_BUILD
    seen: list[str] = field(default_factory=list)

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Sum up a fixed random vector for each word."""
        del kind
        watch.check("embed")
        self.seen += texts
        vectors = np.array([self._vector(text) for text in texts], dtype=np.float32)
        n_tokens = np.array([len(word_starts(text)) + 2 for text in texts], dtype=np.int64)
        n_truncated = int((n_tokens > self.space.max_tokens).sum())
        shaped = vectors.reshape(len(texts), self.space.dimensions)
        return Embedded(normalized(shaped), n_tokens, n_truncated, self.build)

    def token_starts(self, text: str) -> IntArray:
        """Every word is one token."""
        return word_starts(text)

    def close(self) -> None:
        """Nothing is held."""

    def _vector(self, text: str) -> FloatArray:
        words = _WORD.findall(text.lower()) or ["nothing"]
        total = np.zeros(self.space.dimensions, dtype=np.float32)
        for word in words:
            seed = int.from_bytes(hashlib.sha256(word.encode("utf-8", "replace")).digest()[:8])
            random = np.random.default_rng(seed)
            total += random.standard_normal(self.space.dimensions, dtype=np.float32)
        return total


@dataclass
class FakeReranker:
    """A `TextReranker` without a model: the share of the query's words that a text has.

    Attributes:
        seen: Every query and text that was scored, in order.
    """

    seen: list[tuple[str, str]] = field(default_factory=list)

    def score(self, query: str, texts: Sequence[str], watch: Watch) -> Relevance:
        """Score texts."""
        watch.check("rerank")
        self.seen += [(query, text) for text in texts]
        asked = set(_WORD.findall(query.lower()))
        words = [_WORD.findall(text.lower()) for text in texts]
        shares = [len(asked & set(found)) / max(1, len(asked)) for found in words]
        n_tokens = sum(len(asked) + len(found) for found in words)
        return Relevance(np.array(shares, np.float32), n_tokens, 0)

    def close(self) -> None:
        """Nothing is held."""


def admitted_fake(store: Store, embedder: FakeEmbedder | None = None) -> AdmittedEmbedder:
    """A fake that may write to the main space of a store; it has seen no text yet.

    Args:
        store: Whose space.
        embedder: The fake; one of that space by default.
    """
    main = store.spaces.main()
    embedder = embedder or FakeEmbedder(main.space)
    found = admitted(store, main.number, embedder, (), "the store of a test")
    found.embed(["the handshake comes first"], "document", Watch())
    embedder.seen.clear()
    return found
