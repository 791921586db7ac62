"""A native first pass: the sign bits, packed for faiss's product-quantizer scan."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.scan.bits import WORD_BITS, Columns, bit_scores
from embedwell.stores.scan.blocks import Block, Part
from embedwell.stores.scan.kernels import Kernel, NumpyKernel, Widths

UNPACKED = 2_048
"""Rows added to a block before it is packed anew; till then they are ranked one by one."""

logger = logging.getLogger(__name__)

SMALL = 50_000
"""Rows below which the library is not worth its 15 MB: numpy takes a quarter of a millisecond."""

Faiss: TypeAlias = Any
"""The module, or an object of it: it publishes no types."""


def fastest() -> Kernel:
    """What scans fastest of what is installed; nothing is loaded before it is needed."""
    return FastScanKernel() if find_spec("faiss") else NumpyKernel()


@dataclass(frozen=True)
class Found:
    """The best rows of a block.

    Attributes:
        positions: Live ones.
        scores: Theirs.
        limit: Rows left out score no more, nearly; -inf where there are none.
    """

    positions: IntArray
    scores: FloatArray
    limit: float


class FastScanKernel:
    """Float query against the sign bits of all rows, 2 to 3 times as fast as counting in numpy.

    Four sign bits are a product quantizer's code of four dimensions, its centroids all patterns
    of ±1: nothing is trained, and what is stored are the same bits. The packed copy takes as much
    memory again. Where rows are filtered numpy counts, since the library cannot leave rows out.

    Args:
        small: Below how many rows numpy does it.
    """

    def __init__(self, small: int = SMALL) -> None:
        self._small = small
        self._numpy = NumpyKernel()
        self._faiss: Faiss = None
        self._quantizer: Faiss = None
        self.name = "faiss"

    def near(self, parts: Sequence[Part], vector: FloatArray, widths: Widths) -> IntArray:
        """Rows with the highest products; see `Kernel`."""
        n = sum(part.n for part in parts)
        if n < self._small or any(part.positions is not None for part in parts) or not self._load():
            return self._numpy.near(parts, vector, widths)
        # The library rounds its tables to 8 bits, so twice as many go into the exact ranking.
        wanted = 2 * widths.final
        blocks = [part.block for part in parts]
        found = [self._search(block, vector, wanted) for block in blocks]
        cutoff = _highest(found, wanted)
        for at, block in enumerate(blocks):
            if block.n_dead and found[at].limit > cutoff:  # dead rows took the places of live ones
                found[at] = self._search(block, vector, wanted + block.n_dead)
        cutoff = _highest(found, wanted)  # as it is with those
        starts = np.cumsum([0, *(block.n for block in blocks)])
        rows = [
            np.sort(part.positions[part.scores >= cutoff]) + start
            for part, start in zip(found, starts, strict=False)
        ]
        return np.concatenate(rows)

    def _load(self) -> bool:
        """Whether the library is there; it is said once if it cannot be loaded."""
        if self._faiss is None and self.name == "faiss":
            try:
                self._faiss = import_module("faiss")
            except ImportError as error:
                self.name = "numpy"
                logger.warning("faiss cannot be loaded, numpy searches instead: %s", error)
        return self._faiss is not None

    def _search(self, block: Block, vector: FloatArray, n: int) -> Found:
        """The best rows of a block, n less those that are dead."""
        if block.packed is None or block.n - block.packed.ntotal > UNPACKED:
            block.packed = self._pack(block.codes)
        n_packed = block.packed.ntotal
        query = np.zeros((1, len(block.columns) * WORD_BITS), np.float32)
        query[0, : len(vector)] = vector
        scores, positions = (row[0] for row in block.packed.search(query, min(n, n_packed)))
        limit = float(scores[-1]) if n < n_packed else -np.inf
        if n_packed < block.n:
            rest = 2 * bit_scores(block.codes[:, n_packed:], vector) - vector.sum()
            scores = np.concatenate([scores, rest])
            positions = np.concatenate([positions, np.arange(n_packed, block.n)])
        if block.far is not None:
            live = block.far[positions] == 0
            scores, positions = scores[live], positions[live]
        return Found(positions, scores, limit)

    def _pack(self, codes: Columns) -> Faiss:
        """An index of codes of shape (w, n); takes some milliseconds for a full block."""
        if self._quantizer is None:
            self._quantizer = _signs(self._faiss, len(codes) * WORD_BITS)
        self._quantizer.add_sa_codes(np.ascontiguousarray(codes.T, "<u8").view(np.uint8))
        packed = self._faiss.IndexPQFastScan(self._quantizer)
        self._quantizer.reset()
        return packed


def _signs(faiss: Faiss, dimensions: int) -> Faiss:
    """A quantizer whose code of a vector is its sign bits, four dimensions to each half byte."""
    index = faiss.IndexPQ(dimensions, dimensions // 4, 4, faiss.METRIC_INNER_PRODUCT)
    patterns = np.arange(16, dtype=np.uint8)[:, None] >> np.arange(4, dtype=np.uint8) & 1
    centroids = np.tile((2.0 * patterns - 1).astype(np.float32).ravel(), dimensions // 4)
    faiss.copy_array_to_vector(centroids, index.pq.centroids)
    index.is_trained = True
    return index


def _highest(found: Sequence[Found], n: int) -> float:
    """The n-th highest score, -inf where there are fewer."""
    scores = np.concatenate([part.scores for part in found])
    return float(np.partition(scores, -n)[-n]) if len(scores) > n else -np.inf
