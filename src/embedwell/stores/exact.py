"""Exact vector search: every vector in memory as float32, one product a query."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.index import DECIMALS, best
from embedwell.stores.protocol import Scored

GATHER_BELOW = 0.25
"""Share of allowed rows below which copying them out costs less than scoring all."""


class ExactIndex:
    """All vectors, normalized, as float32: 4·d bytes each, 0.5 ms for 10,000 of 384."""

    def __init__(self, dimensions: int) -> None:
        self._ids: IntArray = np.empty(0, np.int64)
        self._rows: FloatArray = np.empty((0, dimensions), np.float32)

    @property
    def ids(self) -> IntArray:
        """Ids held, ascending."""
        return self._ids

    def update(self, removed: IntArray, added: IntArray, vectors: npt.NDArray[np.float16]) -> None:
        """Drop and add rows; see `Index`."""
        if len(removed):
            keep = ~np.isin(self._ids, removed, assume_unique=True)
            self._ids, self._rows = self._ids[keep], self._rows[keep]
        if not len(added):
            return
        rows = vectors.astype(np.float32)
        # Rounding to float16 moves the length by up to 1e-3; cosine needs it at 1.
        rows /= np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
        if len(self._ids) and added[0] < self._ids[-1]:
            at = np.searchsorted(self._ids, added)
            self._ids = np.insert(self._ids, at, added)
            self._rows = np.insert(self._rows, at, rows, axis=0)
        else:
            self._ids = np.concatenate([self._ids, added])
            self._rows = np.concatenate([self._rows, rows]) if len(self._rows) else rows

    def nearest(self, vector: FloatArray, k: int, allowed: IntArray | None) -> Scored:
        """The k best rows; see `Index`."""
        if allowed is None:
            return best(self._ids, self._rows @ vector, k)
        positions = self._positions(allowed)
        if len(positions) < GATHER_BELOW * len(self._ids):
            return best(self._ids[positions], self._rows[positions] @ vector, k)
        return best(self._ids[positions], (self._rows @ vector)[positions], k)

    def similarities(self, vector: FloatArray, ids: IntArray) -> FloatArray:
        """Cosine to the rows of given ids; see `Index`."""
        rows = self._rows[np.searchsorted(self._ids, ids)]
        scores: FloatArray = np.round(rows @ vector, DECIMALS)
        return scores

    def _positions(self, wanted: IntArray) -> IntArray:
        """Where the wanted ids that are held stand."""
        if not len(self._ids):
            return np.empty(0, np.int64)
        at = np.minimum(np.searchsorted(self._ids, wanted), len(self._ids) - 1)
        positions: IntArray = at[self._ids[at] == wanted]
        return positions
