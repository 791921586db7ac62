"""A data set in the product's own store, searched by the product's own searcher."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory

from benchmarks.datasets import Retrieval
from benchmarks.environments import MODEL
from benchmarks.metrics import Floats
from embedwell.models.catalogue import card
from embedwell.search.searcher import QueryVector, Searcher
from embedwell.stores.protocol import (
    ChunkKind,
    CollectionSettings,
    Document,
    DocumentChunks,
    Store,
    StoredChunk,
)
from embedwell.stores.registry import create_store

DEPTH = 100  # how far the lists go that are fused by rank
KINDS: dict[str, tuple[ChunkKind, str]] = {"CoSQA": ("code", "python")}

Ranked = dict[str, list[str]]  # document ids by question id, best first


@contextmanager
def build(set_: Retrieval, vectors: Floats) -> Iterator[Store]:
    """A store with one chunk for each document; gone afterwards."""
    space = replace(card(MODEL).space, dimensions=vectors.shape[1])
    with TemporaryDirectory() as folder:
        store = create_store(f"{folder}/index.db", CollectionSettings(space, 256))
        kind, language = KINDS.get(set_.name, ("text", ""))
        store.put(
            [
                DocumentChunks(_document(id_, text, kind, language), [_chunk(text)], vector[None])
                for (id_, text), vector in zip(set_.documents.items(), vectors, strict=True)
            ]
        )
        try:
            yield store
        finally:
            store.close()


def rankings(store: Store, set_: Retrieval, vectors: Floats) -> dict[str, Ranked]:
    """What each mode finds for every question."""
    vector_of = dict(zip(set_.questions.values(), vectors, strict=True))
    space = store.spaces.main().number
    searcher = Searcher(store, lambda query, _: [QueryVector(vector_of[query], space)])
    found: dict[str, Ranked] = {"hybrid": {}, "semantic": {}, "lexical": {}}
    for id_, question in set_.questions.items():
        for mode, k in (("hybrid", 10), ("semantic", DEPTH), ("lexical", DEPTH)):
            results = searcher.search(question, k, mode).results
            found[mode][id_] = [_id(result.chunk.key) for result in results]
    return found


def _document(id_: str, text: str, kind: ChunkKind, language: str) -> Document:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Document(_key(id_), len(text.encode()), 0, digest, kind, language, is_record=True)


def _chunk(text: str) -> StoredChunk:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return StoredChunk(0, len(text), 1, 1 + text.count("\n"), "", text, digest)


def _key(id_: str) -> str:
    """Ids are numbers; as keys they must not match numbers in questions."""
    return f"d{id_}d"


def _id(key: str) -> str:
    return key[1:-1]
