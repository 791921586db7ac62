"""Write documents' vectors beside the rows that they come from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Source
from embedwell.stores.rows import VectorColumn

# Written in one transaction of the application's database: it waits for milliseconds.
_AT_ONCE = 500


def write_back(store: Store, source: Source, column: VectorColumn, watch: Watch) -> int:
    """Bring a column up to date with the vectors of a source's documents.

    Every row is compared, so that it goes on wherever it was stopped, and whoever changed a vector.

    Args:
        store: Where the vectors are.
        source: Its documents' keys are the rows'.
        column: Where they go.
        watch: Told of progress; asked to stop between transactions.

    Returns:
        How many rows changed.

    Raises:
        TaskCancelledError: `watch` was asked to stop; what was written stays.
        StoreError: The application's database could not be written.
    """
    keys = list(store.stats(source.number))
    n_changed = 0
    for begin in range(0, len(keys), _AT_ONCE):
        watch.progress("write back", begin, len(keys), "rows")
        batch = keys[begin : begin + _AT_ONCE]
        rows = zip(batch, _vectors(store, batch), strict=True)
        n_changed += column.write([(key.removeprefix(source.prefix), blob) for key, blob in rows])
    return n_changed


def mean_vector(vectors: Sequence[FloatArray]) -> FloatArray | None:
    """What stands for a whole document: the mean of its chunks' vectors, at length 1.

    Args:
        vectors: float32, shape (d,) each.

    Returns:
        float32, shape (d,); None where there is none, or where they cancel each other out.
    """
    if not vectors:
        return None
    mean = np.mean(np.array(vectors, dtype=np.float64), axis=0)
    length = float(np.linalg.norm(mean))
    return (mean / length).astype(np.float32) if length else None


def _vectors(store: Store, keys: Sequence[str]) -> list[bytes | None]:
    """The vectors of documents, as they are written."""
    with store.snapshot():
        names = [[found.chunk.embedded_sha256 for found in store.passages(key)] for key in keys]
        known = store.known_vectors(list({name for few in names for name in few}))
    means = [mean_vector([known[name] for name in few if name in known]) for few in names]
    return [None if mean is None else mean.astype("<f4").tobytes() for mean in means]
