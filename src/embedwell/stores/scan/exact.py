"""Exact vector search: every vector in memory as float32, one product a query."""

from __future__ import annotations

import numpy as np

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.index import DECIMALS, best
from embedwell.stores.protocol import Scored
from embedwell.stores.scan.bits import HalfArray

GATHER_BELOW = 0.25
"""Share of allowed rows below which copying them out costs less than scoring all."""


class ExactIndex:
    """All vectors, normalized, as float32: 4·d bytes each, 0.5 ms for 10,000 of 384.

    Ids only grow: what is appended has ids above all that are held.
    """

    def __init__(self, dimensions: int) -> None:
        self._ids: IntArray = np.empty(0, np.int64)
        self._rows: FloatArray = np.empty((0, dimensions), np.float32)

    def __len__(self) -> int:
        """How many rows it holds."""
        return len(self._ids)

    @property
    def ids(self) -> IntArray:
        """Ids held, ascending."""
        return self._ids

    def append(self, ids: IntArray, halves: HalfArray) -> None:
        """Add rows.

        Args:
            ids: int64, shape (n,), ascending.
            halves: float16, shape (n, d).
        """
        self._ids = np.concatenate([self._ids, ids])
        self._rows = np.concatenate([self._rows, _unit(halves)])

    def remove(self, ids: IntArray) -> None:
        """Forget rows; ids that are not held are passed over."""
        keep = ~np.isin(self._ids, ids)
        self._ids, self._rows = self._ids[keep], self._rows[keep]

    def nearest(self, vector: FloatArray, k: int, allowed: IntArray | None) -> Scored:
        """The k best rows; see `Index`."""
        if allowed is None:
            return best(self._ids, self._rows @ vector, k)
        positions = self._positions(allowed)
        if len(positions) < GATHER_BELOW * len(self._ids):
            return best(self._ids[positions], self._rows[positions] @ vector, k)
        return best(self._ids[positions], (self._rows @ vector)[positions], k)

    def _positions(self, wanted: IntArray) -> IntArray:
        """Where the wanted ids that are held stand."""
        wanted = wanted[wanted <= self._ids[-1]] if len(self._ids) else wanted[:0]
        at = np.searchsorted(self._ids, wanted)
        positions: IntArray = at[self._ids[at] == wanted]
        return positions


def cosines(halves: HalfArray, vector: FloatArray) -> FloatArray:
    """Cosine of stored vectors to a unit vector.

    Args:
        halves: float16, shape (n, d).
        vector: float32, shape (d,).

    Returns:
        float32, shape (n,), rounded to the decimals that tell scores apart.
    """
    rows = halves.astype(np.float32)
    scores: FloatArray = np.round(rows @ vector / _lengths(rows), DECIMALS)
    return scores


def _unit(halves: HalfArray) -> FloatArray:
    rows = halves.astype(np.float32)
    rows /= _lengths(rows)[:, None]
    return rows


def _lengths(rows: FloatArray) -> FloatArray:
    """Of each row: rounding to float16 moved it by up to 1e-3 from 1."""
    lengths: FloatArray = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return lengths
