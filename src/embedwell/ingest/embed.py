"""Give prepared documents their vectors; no text is embedded twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray
from embedwell.ingest.lanes import Lane, Lanes
from embedwell.ingest.prepare import Prepared
from embedwell.stores.protocol import DocumentChunks, Store


@dataclass(frozen=True)
class Filled:
    """Documents ready to be stored, and what that took.

    Attributes:
        documents: In the order given.
        n_embedded: Texts that went through a model.
        n_reused: Vectors that were known.
        n_truncated: Texts that were longer than a model takes.
    """

    documents: Sequence[DocumentChunks]
    n_embedded: int
    n_reused: int
    n_truncated: int


@dataclass(frozen=True)
class _Found:
    """What one space needed: its vectors by hash, and what they took."""

    vectors: Mapping[str, FloatArray]
    n_embedded: int = 0
    n_reused: int = 0
    n_truncated: int = 0


def fill(prepared: Sequence[Prepared], lanes: Lanes, store: Store, watch: Watch) -> Filled:
    """Look known vectors up and embed the others, each distinct text once in each space.

    Raises:
        DriftError: A build is not fit for the store.
        BadTextsError: An engine failed on some texts.
        TaskCancelledError: `watch` was asked to stop.
    """
    found = [_embedded(prepared, lane, store, watch) for lane in lanes.all]
    documents = [with_vectors(one, lanes, [part.vectors for part in found]) for one in prepared]
    return Filled(
        documents,
        sum(part.n_embedded for part in found),
        sum(part.n_reused for part in found),
        sum(part.n_truncated for part in found),
    )


def with_vectors(
    prepared: Prepared, lanes: Lanes, vectors: Sequence[Mapping[str, FloatArray]]
) -> DocumentChunks:
    """A document with its vectors of each space that holds its kind.

    Args:
        prepared: The document.
        lanes: The spaces.
        vectors: Of each lane, by the hash of what was embedded.
    """
    shaped = [
        _shaped(prepared, lane, known) for lane, known in zip(lanes.all, vectors, strict=True)
    ]
    main, code = shaped[0], shaped[1] if len(shaped) > 1 else None
    if main is None:
        main = np.empty((0, lanes.main.embedder.space.dimensions), np.float32)
    return DocumentChunks(prepared.document, prepared.chunks, main, code)


def _shaped(prepared: Prepared, lane: Lane, known: Mapping[str, FloatArray]) -> FloatArray | None:
    if prepared.document.kind not in lane.holds:
        return None
    rows = [known[chunk.embedded_sha256] for chunk in prepared.chunks]
    return np.array(rows, dtype=np.float32).reshape(-1, lane.embedder.space.dimensions)


def _embedded(prepared: Sequence[Prepared], lane: Lane, store: Store, watch: Watch) -> _Found:
    mine = [document for document in prepared if document.document.kind in lane.holds]
    texts = {
        chunk.embedded_sha256: text
        for document in mine
        for chunk, text in zip(document.chunks, document.texts, strict=True)
    }
    if not texts:  # its model need not even be loaded
        return _Found({})
    known = dict(store.known_vectors(list(texts), space=lane.embedder.number))
    new = [name for name in texts if name not in known]
    embedded = lane.embedder.embed([texts[name] for name in new], "document", watch)
    known.update(zip(new, embedded.vectors, strict=True))
    n_chunks = sum(len(document.chunks) for document in mine)
    return _Found(known, len(new), n_chunks - len(new), embedded.n_truncated)
