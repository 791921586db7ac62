"""Vectors as sign bits: one bit a dimension, in columns of 64 dimensions."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embedwell.core.vectors import FloatArray

HalfArray: TypeAlias = npt.NDArray[np.float16]
Columns: TypeAlias = npt.NDArray[np.uint64]
"""Sign bits of n vectors: uint64, shape (w, n), w as `n_words` says. Bit i of word j is set where
dimension 64·j + i is positive."""

QueryBits: TypeAlias = npt.NDArray[np.uint64]
"""Sign bits of one vector: uint64, shape (w,)."""

WORD_BITS = 64
_BYTE_BITS = np.unpackbits(
    np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little"
).astype(np.float32)


def n_words(dimensions: int) -> int:
    """How many words of 64 bits hold so many dimensions."""
    return -(-dimensions // WORD_BITS)


def encode(halves: HalfArray) -> Columns:
    """Sign bits of vectors.

    Args:
        halves: float16, shape (n, d).
    """
    # A float16 is positive exactly where its bits are as an integer, which compares faster.
    return _packed(np.ascontiguousarray(halves, "<f2").view("<i2") > 0)


def encode_query(vector: FloatArray) -> QueryBits:
    """Sign bits of one vector of shape (d,)."""
    return _packed((vector > 0)[None])[:, 0]


def bit_scores(columns: Columns, vector: FloatArray) -> FloatArray:
    """Inner products of a vector with vectors known by their sign bits.

    The asymmetric distance: only the stored side is rounded to its signs, which ranks better
    than counting different bits. Here 1 and 0 stand for positive and not, which ranks as ±1.

    Args:
        columns: Shape (w, n).
        vector: float32, shape (d,).

    Returns:
        float32, shape (n,).
    """
    padded = np.zeros(len(columns) * WORD_BITS, np.float32)
    padded[: len(vector)] = vector
    # What each of the 256 values of each byte adds.
    tables = padded.reshape(-1, 8) @ _BYTE_BITS.T
    places = np.arange(len(tables)).reshape(-1, 8, 1) * 256
    codes = np.ascontiguousarray(columns, "<u8").view(np.uint8).reshape(len(columns), -1, 8)
    scores: FloatArray = tables.ravel().take(codes.transpose(0, 2, 1) + places).sum(axis=(0, 1))
    return scores


def _packed(positive: npt.NDArray[np.bool_]) -> Columns:
    """Columns of booleans of shape (n, d)."""
    row_bytes = np.packbits(positive, axis=1, bitorder="little")
    padding = n_words(positive.shape[1]) * WORD_BITS // 8 - row_bytes.shape[1]
    if padding:
        row_bytes = np.pad(row_bytes, ((0, 0), (0, padding)))
    return np.ascontiguousarray(row_bytes.view("<u8").T, np.uint64)
