"""Give prepared documents their vectors; no text is embedded twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedwell.core.events import Watch
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.ingest.prepare import Prepared
from embedwell.stores.protocol import DocumentChunks, Store


@dataclass(frozen=True)
class Filled:
    """Documents ready to be stored, and what that took.

    Attributes:
        documents: In the order given.
        n_embedded: Texts that went through the model.
        n_reused: Chunks whose vectors were known.
        n_truncated: Texts that were longer than the model takes.
    """

    documents: Sequence[DocumentChunks]
    n_embedded: int
    n_reused: int
    n_truncated: int


def fill(
    prepared: Sequence[Prepared], embedder: AdmittedEmbedder, store: Store, watch: Watch
) -> Filled:
    """Look known vectors up and embed the others, each distinct text once.

    Raises:
        DriftError: The embedder's build is not fit for the store.
        BadTextsError: The engine failed on some texts.
        TaskCancelledError: `watch` was asked to stop.
    """
    texts = {
        chunk.embedded_sha256: text
        for document in prepared
        for chunk, text in zip(document.chunks, document.texts, strict=True)
    }
    known = dict(store.known_vectors(list(texts), space=embedder.number))
    new = [name for name in texts if name not in known]
    embedded = embedder.embed([texts[name] for name in new], "document", watch)
    known.update(zip(new, embedded.vectors, strict=True))
    n_chunks = sum(len(document.chunks) for document in prepared)
    width = embedder.space.dimensions
    documents = [
        DocumentChunks(
            document.document,
            document.chunks,
            np.array([known[c.embedded_sha256] for c in document.chunks], dtype=np.float32).reshape(
                -1, width
            ),
        )
        for document in prepared
    ]
    return Filled(documents, len(new), n_chunks - len(new), embedded.n_truncated)
