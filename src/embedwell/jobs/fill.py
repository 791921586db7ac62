"""Give a space the vectors that it lacks, while others read and write."""

from __future__ import annotations

import time

import numpy as np

from embedwell.chunking.titles import titled
from embedwell.core.errors import BadTextsError
from embedwell.core.events import Watch
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.stores.protocol import FoundChunk, Store

# Stored together: enough to fill batches of the engine, little enough that a crash loses a second.
_CHUNKS_PER_COMMIT = 256


def fill_space(
    store: Store,
    embedder: AdmittedEmbedder,
    watch: Watch,
    chunks_per_s: float = 0.0,
    *,
    copy_from: int | None = None,
) -> int:
    """Embed every chunk that a space lacks, again until none is missing.

    What is written to the store meanwhile is found in the next round. Stopped at any moment, it
    goes on from there when it is called again.

    Args:
        store: Where the chunks are.
        embedder: Of the space that is filled.
        watch: Told of progress in chunks; stops within a batch.
        chunks_per_s: Most chunks in a second, on average; 0 for as many as can be.
        copy_from: A space of the same declaration and proof: what has a vector there is given that.

    Returns:
        How many chunks were embedded.

    Raises:
        BadTextsError: The engine failed on a chunk; the others of its batch are stored.
        DriftError: The embedder's build is not fit for the space.
        TaskCancelledError: `watch` was asked to stop; what was stored is kept.
    """
    number, done, n_embedded, began = embedder.number, 0, 0, time.monotonic()
    while missing := store.spaces.n_missing(number):
        total, after = done + missing, 0
        while batch := store.spaces.missing(number, after, _CHUNKS_PER_COMMIT):
            watch.progress("fill", done, max(total, done), "chunks")
            n_embedded += _fill_batch(store, embedder, batch, watch, copy_from)
            done += len(batch)
            after = batch[-1].id
            if chunks_per_s:
                due = began + n_embedded / chunks_per_s
                watch.cancelled.wait(max(0.0, due - time.monotonic()))
            watch.check("fill")
    watch.progress("fill", done, done, "chunks")
    return n_embedded


def _fill_batch(
    store: Store,
    embedder: AdmittedEmbedder,
    batch: list[FoundChunk],
    watch: Watch,
    copy_from: int | None,
) -> int:
    """Store the vectors of some chunks, by growing ids; gives how many were embedded."""
    ids = np.array([found.id for found in batch], np.int64)
    vectors = np.full((len(ids), embedder.space.dimensions), np.nan, np.float32)
    if copy_from is not None:
        vectors = store.spaces.vectors(copy_from, ids)
    lacking = np.flatnonzero(np.isnan(vectors).any(axis=1))
    texts = [titled(batch[at].chunk.title, batch[at].chunk.text) for at in lacking]
    quiet = Watch(cancelled=watch.cancelled)
    try:
        if texts:
            vectors[lacking] = embedder.embed(texts, "document", quiet).vectors
    except BadTextsError as error:
        vectors[lacking] = error.vectors
        good = np.isfinite(vectors).all(axis=1)
        store.spaces.fill(embedder.number, ids[good], vectors[good])
        raise
    store.spaces.fill(embedder.number, ids, vectors)
    return len(texts)
