"""What a vector index does: a copy of a store's vectors, arranged for search."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import numpy as np

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.protocol import Scored

IndexName: TypeAlias = Literal["auto", "codes", "sqlite-vec", "exact"]
"""Which index is asked for; `auto` takes what suits the store."""

DECIMALS = 6
"""Scores that agree to so many decimals are ties: below that float32 sums differ by their order."""


class Index(Protocol):
    """A rebuildable copy of the vectors of one space, by chunk id."""

    @property
    def kind(self) -> str:
        """What it is, for people: `exact`, `codes (numpy)`, `sqlite-vec 0.1.9`."""
        ...

    def follow(self) -> None:
        """Bring it up to date with the database: built at first, then only what changed.

        Called inside the snapshot that is searched.
        """
        ...

    def nearest(self, vector: FloatArray, k: int, allowed: IntArray | None) -> Scored:
        """The k highest cosines to a unit vector of shape (d,), best first, ties by id.

        Scores are those of the stored float16 vectors, whatever the first pass was.

        Args:
            vector: float32, shape (d,).
            k: How many.
            allowed: Ids that may be found (int64, ascending), or None for all.
        """
        ...


def best(ids: IntArray, scores: FloatArray, k: int) -> Scored:
    """The k highest scores, best first, ties by id.

    Args:
        ids: int64, shape (n,).
        scores: float32, shape (n,).
        k: How many; fewer come where n is smaller.
    """
    rounded = np.round(scores, DECIMALS)
    if 0 < k < len(ids):
        threshold = np.partition(rounded, len(ids) - k)[len(ids) - k]
        chosen = np.flatnonzero(rounded >= threshold)
        ids, rounded = ids[chosen], rounded[chosen]
    order = np.lexsort((ids, -rounded))[: max(k, 0)]
    return Scored(ids[order], rounded[order])
