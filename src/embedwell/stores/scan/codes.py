"""The first passes of a vector search: over compact codes of all vectors, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log10

import numpy as np

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.index import best
from embedwell.stores.protocol import Scored
from embedwell.stores.scan.bits import Columns, HalfArray, bit_scores, encode, n_words
from embedwell.stores.scan.blocks import BLOCK, LARGE, Block, Part, tidied
from embedwell.stores.scan.exact import cosines
from embedwell.stores.scan.fastscan import fastest
from embedwell.stores.scan.kernels import Kernel, Widths

NOTHING = -(2**63)
"""`last_id` where nothing was ever appended."""


def widths(n: int, k: int, dimensions: int) -> Widths:
    """How many candidates keep recall@k at .99 or above, with some to spare.

    Fitted to where the true nearest stand in the order of each pass, over MiniLM vectors of real
    passages: 10K to 1M of them, k from 10 to 400, cut to 64, 128 and 256 dimensions for the last
    factor. Among fewer rows the best stand out more. Fewer bits tell less, about as their square;
    docs/benchmarks.md has what comes of it.

    Args:
        n: How many rows are searched.
        k: How many are asked for.
        dimensions: Of the vectors.
    """
    size = log10(max(n, 10_000) / 100_000)
    many, few = max(0.0, size), min(0.0, size)
    few_bits = max(1.0, (384 / dimensions) ** 2)
    return Widths(
        near=round((600 + 40 * k + 1000 * many) * few_bits),
        final=round((20 + (8 + few) * k + 60 * many) * few_bits),
    )


class Codes:
    """Sign bits of the vectors of one space by id: d ÷ 8 + 8 bytes each. Owned by one thread.

    Ids only grow: what is appended has ids above all that were ever held.
    """

    def __init__(self, dimensions: int, kernel: Kernel | None = None) -> None:
        self._words = n_words(dimensions)
        self._kernel = kernel or fastest()
        self._blocks: list[Block] = []
        self._last_id = NOTHING

    def __len__(self) -> int:
        """How many rows are live."""
        return sum(block.n_live for block in self._blocks)

    @property
    def kernel(self) -> str:
        """What scans, for people: `numpy`, `faiss`."""
        return self._kernel.name

    @property
    def last_id(self) -> int:
        """The highest id ever appended, `NOTHING` if none."""
        return self._last_id

    def append(self, ids: IntArray, halves: HalfArray) -> None:
        """Add rows.

        Args:
            ids: int64, shape (n,), ascending, above `last_id`.
            halves: float16, shape (n, d).

        Raises:
            ValueError: An id is not above those before it.
        """
        for start in range(0, len(ids), BLOCK):
            end = start + BLOCK
            self._add(ids[start:end], encode(halves[start:end]))

    def append_segment(self, ids: bytes, codes: bytes) -> None:
        """Add rows as they are stored.

        Args:
            ids: int64, little-endian, ascending, above `last_id`.
            codes: What `encode` gives for them, little-endian.

        Raises:
            ValueError: An id is not above those before it, or the lengths do not fit.
        """
        numbers = np.frombuffer(ids, "<i8")
        self._add(numbers, np.frombuffer(codes, "<u8").reshape(self._words, len(numbers)))

    def remove(self, ids: IntArray) -> None:
        """Forget rows; ids that are not held are passed over.

        Args:
            ids: int64, shape (n,), any order.
        """
        ids = np.unique(ids)
        for block in self._blocks:
            block.remove(ids)
        if any(block.is_sparse for block in self._blocks):
            self._blocks = tidied(self._blocks)

    def candidates(self, vector: FloatArray, widths: Widths, allowed: IntArray | None) -> IntArray:
        """Ids among which the nearest rows are: ascending, at most `widths.final`.

        Where no more rows may be found than that, all of them.

        Args:
            vector: float32, shape (d,).
            widths: How many rows each pass hands on.
            allowed: Ids that may be found (int64, ascending), or None for all.
        """
        parts = self._parts(allowed)
        n_live = sum(part.n_live for part in parts)
        if n_live <= widths.final:
            return np.concatenate([np.empty(0, np.int64), *(part.live_ids() for part in parts)])
        ids, columns = _rows(parts, self._kernel.near(parts, vector, widths))
        return np.sort(best(ids, bit_scores(columns, vector), widths.final).ids)

    def _add(self, ids: IntArray, columns: Columns) -> None:
        """Copy rows into the last block, and into new ones as they fill up."""
        if not len(ids):
            return
        if ids[0] <= self._last_id or (ids[1:] <= ids[:-1]).any():
            msg = f"Ids must rise above {self._last_id}."
            raise ValueError(msg)
        self._last_id = int(ids[-1])
        while len(ids):
            if not self._blocks or not self._blocks[-1].room:
                capacity = LARGE if self._blocks else 2 * BLOCK  # a few rows take little memory
                self._blocks.append(Block.empty(self._words, capacity))
            n = self._blocks[-1].add(ids, columns)
            ids, columns = ids[n:], columns[:, n:]

    def _parts(self, allowed: IntArray | None) -> list[Part]:
        """The blocks in which something may be found."""
        if allowed is None:
            return [Part(block, None) for block in self._blocks]
        parts = [Part(block, block.live(allowed)) for block in self._blocks]
        return [part for part in parts if part.n]


def nearest(
    codes: Codes,
    vector: FloatArray,
    k: int,
    allowed: IntArray | None,
    fetch: Callable[[IntArray], HalfArray],
) -> Scored:
    """The k rows with the highest cosine to a unit vector; see `Index.nearest`.

    Args:
        codes: What the first passes go over.
        vector: float32, shape (d,).
        k: How many.
        allowed: Ids that may be found (int64, ascending), or None for all.
        fetch: Gives the stored vectors of ascending ids: float16, shape (n, d).
    """
    ids = codes.candidates(vector, widths(len(codes), k, len(vector)), allowed)
    return best(ids, cosines(fetch(ids), vector), k)


def _rows(parts: Sequence[Part], near: IntArray) -> tuple[IntArray, Columns]:
    """Ids and codes of rows by their place in the scan, ascending."""
    ids, columns, start = [], [], 0
    for part in parts:
        end = start + part.n
        first, last = np.searchsorted(near, (start, end))
        if first < last:
            positions = part.at(near[first:last] - start)
            ids.append(part.block.ids[positions])
            columns.append(part.block.columns.take(positions, axis=1))
        start = end
    return np.concatenate(ids), np.concatenate(columns, axis=1)
