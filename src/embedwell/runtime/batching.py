"""Which texts run together: sorted by length, a bounded number of padded tokens a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from embedwell.core.vectors import IntArray
from embedwell.engines.protocol import TokenBatch

# Larger batches cost memory and, past what a core's cache holds, time: on mixed lengths 512 was
# 12 % slower (docs/quantization.md).
TOKENS_PER_BATCH = 256


def plan(lengths: IntArray, tokens_per_batch: int = TOKENS_PER_BATCH) -> Iterator[IntArray]:
    """Group texts by length.

    Args:
        lengths: int64, shape (n,); tokens of each text.
        tokens_per_batch: Most padded tokens of a batch; a longer text runs alone.

    Yields:
        int64 positions of the texts of each batch; every position exactly once.
    """
    order = np.argsort(lengths, kind="stable")
    begin = 0
    for end in range(1, len(order) + 1):
        full = end == len(order) or (end + 1 - begin) * lengths[order[end]] > tokens_per_batch
        if full:
            yield order[begin:end]
            begin = end


def pad(ids: Sequence[npt.NDArray[np.int32]]) -> TokenBatch:
    """Put texts side by side, padded on the right with 0 and masked."""
    longest = max(len(row) for row in ids)
    padded = np.zeros((len(ids), longest), dtype=np.int64)
    mask = np.zeros((len(ids), longest), dtype=np.int64)
    for row, text in enumerate(ids):
        padded[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return TokenBatch(padded, mask)
