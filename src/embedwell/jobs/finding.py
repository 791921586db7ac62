"""Whether a store's search finds a chunk by the chunk's own text."""

from __future__ import annotations

import numpy as np

from embedwell.core.vectors import FloatArray
from embedwell.stores.protocol import Filter, FoundChunk, Store

_TOP = 10
_TIE = 0.02  # ten others as near as the chunk itself push it out of the first ten
_ITSELF = 0.9


def finds(
    store: Store, number: int, wanted: FoundChunk, vector: FloatArray, where: Filter
) -> bool | None:
    """Whether a chunk is among the nearest, or another of the same text, or as near ones.

    Args:
        store: What is searched.
        number: The space.
        wanted: The chunk.
        vector: Of its text, embedded anew: float32, shape (d,), unit length.
        where: What may be found.

    Returns:
        None where the chunk has gone: somebody replaced or deleted its document meanwhile.
    """
    with store.snapshot():
        if not store.chunks([wanted.id]):
            return None
        found = store.nearest(vector, _TOP, where, space=number)
        if wanted.id in found.ids:
            return True
        texts = {one.chunk.embedded_sha256 for one in store.chunks(found.ids.tolist())}
        if wanted.chunk.embedded_sha256 in texts:
            return True
        own = float(store.similarities(vector, np.array([wanted.id]), space=number)[0])
    return own >= _ITSELF and len(found.scores) == _TOP and float(found.scores[-1]) >= own - _TIE
