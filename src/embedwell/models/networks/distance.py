"""What depends on where tokens stand: biases of scores by distance, and rotary positions."""

from __future__ import annotations

import math

import numpy as np

from embedwell.core.vectors import FloatArray, IntArray

UNSEEN = -70.0
"""A score that counts for nothing: its exponential is below 1e-20 of any score that counts.

It is not lower because processors take ten times as long for numbers that are nearly too small for
float32, and the exponential of -100 is one of them.
"""

_FARTHEST = 128  # tokens: from here on, all distances share a bucket


def bucket_bias(table: FloatArray, length: int) -> FloatArray:
    """Biases of MPNet, which are those of T5 (Raffel et al. 2020, https://arxiv.org/abs/1910.10683).

    Half of the buckets are for tokens before, half for tokens after; of each half the first half
    has a bucket for each distance, and the others grow as its logarithm.

    Args:
        table: float32, shape (n_buckets, n_heads).
        length: Tokens of the longest text.

    Returns:
        float32, shape (2 * length - 1, n_heads); row length - 1 + d is for a token that stands d
        places after the one that looks.
    """
    return table[_buckets(np.arange(1 - length, length), len(table))]


def alibi_slopes(n_heads: int) -> FloatArray:
    """Slopes of ALiBi (Press et al. 2022, https://arxiv.org/abs/2108.12409).

    As in its authors' program: a power of two of heads has 2^(-8/n), 2^(-16/n), ...; other numbers
    take those of the power below, and then every second one of the power above.

    Returns:
        float32, shape (n_heads,): what is taken off a score for each token of distance.
    """
    below = 2 ** math.floor(math.log2(n_heads))
    slopes = [2 ** (-8 * (head + 1) / below) for head in range(below)]
    above = [2 ** (-8 * (head + 1) / (2 * below)) for head in range(2 * below)]
    return np.array(slopes + above[::2][: n_heads - below], np.float32)


def rotary_tables(base: float, width: int, length: int) -> tuple[FloatArray, FloatArray]:
    """Cosines and sines of rotary positions (Su et al. 2021, https://arxiv.org/abs/2104.09864).

    Args:
        base: Of the geometric series of wavelengths.
        width: Length of a token vector inside one head; its first half pairs with its second.
        length: Tokens of the longest text.

    Returns:
        Two of float32, shape (length, width / 2).
    """
    frequencies = base ** (-np.arange(0, width, 2) / width)
    angles = np.arange(length)[:, None] * frequencies
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _buckets(distances: IntArray, n_buckets: int) -> IntArray:
    half = n_buckets // 2
    exact = half // 2
    far = np.abs(distances)
    growth = np.log(np.maximum(far, 1) / exact) / math.log(_FARTHEST / exact)
    grown = np.minimum(exact + (growth * (half - exact)).astype(np.int64), half - 1)
    return np.where(distances > 0, half, 0) + np.where(far < exact, far, grown)
