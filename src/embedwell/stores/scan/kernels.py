"""How the first pass of a search finds the rows that are worth a second look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.scan.bits import Columns, QueryBits, encode_query
from embedwell.stores.scan.blocks import BLOCK, FAR, Part

DistanceArray: TypeAlias = npt.NDArray[np.uint16]

GATHER_BELOW = 0.25
"""Share of a block's rows below which copying them out costs less than a scan of all."""

SAMPLE = 65_536
"""About how many distances the threshold is taken from."""


@dataclass(frozen=True)
class Widths:
    """How many rows each pass hands on.

    Attributes:
        near: Rows with the fewest different bits, ranked anew by the float query.
        final: The best of those, to be scored exactly; at most half of `near`.
    """

    near: int
    final: int


class Kernel(Protocol):
    """What scans codes. One for each `Codes`, with whatever it keeps between searches."""

    @property
    def name(self) -> str:
        """What computes, for people: `numpy`."""
        ...

    def near(self, parts: Sequence[Part], vector: FloatArray, widths: Widths) -> IntArray:
        """Live rows among which the best `widths.final` by the float query nearly all are.

        Args:
            parts: What may be found; more than `widths.final` live rows together.
            vector: float32, shape (d,).
            widths: How many are wanted.

        Returns:
            Their places, counted over the rows of all parts, ascending; at least
            `widths.final` of them.
        """
        ...


class NumpyKernel:
    """Counts different bits, in place and with all buffers in the cache: 0.6 ns a word."""

    name = "numpy"

    def __init__(self) -> None:
        self._distances: DistanceArray = np.empty(0, np.uint16)
        self._differing = np.empty(0, np.uint64)
        self._counts = np.empty((0, 0), np.uint8)

    def near(self, parts: Sequence[Part], vector: FloatArray, widths: Widths) -> IntArray:
        """Rows with the fewest bits that differ; see `Kernel`."""
        n_live = sum(part.n_live for part in parts)
        distances = self._scan(parts, encode_query(vector))
        return fewest(distances, min(widths.near, n_live))

    def _scan(self, parts: Sequence[Part], query: QueryBits) -> DistanceArray:
        """Distances of the parts' rows, one part after the other; good until the next scan."""
        n = sum(part.n for part in parts)
        if len(self._distances) < n:
            self._distances = np.empty(n + BLOCK, np.uint16)  # room to grow into
        end = 0
        for part in parts:
            start, end = end, end + part.n
            self._measure(part, query, self._distances[start:end])
        return self._distances[:n]

    def _measure(self, part: Part, query: QueryBits, out: DistanceArray) -> None:
        """Distances of a part's rows, `FAR` for dead ones."""
        block, positions = part.block, part.positions
        if positions is None:
            self.distances(block.codes, query, out)
            if block.far is not None:
                np.maximum(out, block.far, out=out)
        elif len(positions) < GATHER_BELOW * block.n:
            self.distances(block.columns.take(positions, axis=1), query, out)
        else:
            whole = np.empty(block.n, np.uint16)
            self.distances(block.codes, query, whole)
            out[:] = whole[positions]

    def distances(self, columns: Columns, query: QueryBits, out: DistanceArray) -> None:
        """Count the bits that differ.

        Args:
            columns: Shape (w, n).
            query: Shape (w,).
            out: uint16, shape (n,): where the counts go.
        """
        words, n = columns.shape
        if self._counts.shape != (words, BLOCK):
            self._differing = np.empty(BLOCK, np.uint64)
            self._counts = np.empty((words, BLOCK), np.uint8)
        for start in range(0, n, BLOCK):
            end = min(start + BLOCK, n)
            differing, counts = self._differing[: end - start], self._counts[:, : end - start]
            for column, word, count in zip(columns, query, counts, strict=True):
                np.bitwise_xor(column[start:end], word, out=differing)
                np.bitwise_count(differing, out=count)
            np.add.reduce(counts, axis=0, dtype=np.uint16, out=out[start:end])


def fewest(distances: DistanceArray, n: int) -> IntArray:
    """Where the smallest distances are, ascending: about n, between n / 2 and 2·n.

    The threshold comes from a sample; where that misjudges, or so many distances are equal to it
    that there would be more, exactly n: of equal distances the first.

    Args:
        distances: uint16, shape (m,).
        n: At least 1, at most how many are not `FAR`.
    """
    sample = distances[:: max(1, len(distances) // SAMPLE)]
    rank = min(len(sample) - 1, n * len(sample) // len(distances))
    near = np.flatnonzero(distances <= min(np.partition(sample, rank)[rank], FAR - 1))
    if len(near) > 2 * n:
        return np.sort(near[np.argsort(distances[near], kind="stable")[:n]])
    if len(near) < n / 2:
        return np.sort(np.argsort(distances, kind="stable")[:n])
    return near
