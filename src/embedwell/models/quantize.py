"""Rounding weights to few bits, by elementwise float32 operations only.

IEEE 754 fixes the result of every single multiplication, division and rounding, so the same
weights give the same bytes on every machine. Sums are not safe in that way (libraries add in the
order that suits the processor), so where one is needed it is written as a chain of additions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedwell.core.vectors import FloatArray

Int8Array = npt.NDArray[np.int8]
UInt8Array = npt.NDArray[np.uint8]

_TINY = np.float32(1e-12)
_SHRINKS = np.arange(28, 46, dtype=np.float32) / np.float32(40)  # 0.7 to 1.125


def row_scales(weights: FloatArray) -> FloatArray:
    """The scale that maps the largest magnitude of each row to 127.

    Args:
        weights: float32, shape (n, k).

    Returns:
        float32, shape (n, 1), positive.
    """
    scales: FloatArray = np.maximum(np.abs(weights).max(axis=1, keepdims=True), _TINY) / 127
    return scales


def to_int8(weights: FloatArray, scales: FloatArray) -> Int8Array:
    """Round `weights / scales` to nearest (ties to even), within -127 to 127."""
    values: Int8Array = np.clip(np.rint(weights / scales), -127, 127).astype(np.int8)
    return values


@dataclass(frozen=True)
class FourBitBlocks:
    """A matrix in 4 bits, as onnxruntime's `MatMulNBits` takes it.

    Attributes:
        packed: uint8, shape (n, blocks, block_size / 2); two values a byte, the first one low.
        scales: float32, shape (n * blocks,); a value v stands for (v - 8) * scale.
        width: Columns of the matrix before it was cut into blocks.
        block_size: Neighbouring columns that share a scale.
    """

    packed: UInt8Array
    scales: FloatArray
    width: int
    block_size: int


def four_bit_blocks(weights: FloatArray, block_size: int = 16) -> FourBitBlocks:
    """Round a matrix to 4 bits, each block with the scale that loses least.

    Args:
        weights: float32, shape (n, k).
        block_size: A power of two, at least 16.
    """
    n_rows, width = weights.shape
    padded = np.pad(weights, ((0, 0), (0, -width % block_size)))
    blocks = padded.reshape(-1, block_size)
    scales = _best_scales(blocks)
    values = (np.clip(np.rint(blocks / scales), -8, 7) + 8).astype(np.uint8)
    packed = (values[:, 0::2] | values[:, 1::2] << 4).reshape(n_rows, -1, block_size // 2)
    return FourBitBlocks(packed, scales[:, 0], width, block_size)


def _best_scales(blocks: FloatArray) -> FloatArray:
    """Of a few scales around the one that just fits, each block's best by squared error."""
    # The side with the larger magnitude gets the 8 negative steps: the scale carries its sign.
    low, high = blocks.min(axis=1, keepdims=True), blocks.max(axis=1, keepdims=True)
    extreme = np.where(-low >= high, low, high)
    safe = np.where(np.abs(extreme) < _TINY, _TINY, extreme).astype(np.float32)
    fitting: FloatArray = safe / np.float32(-8)
    best: FloatArray = fitting
    least = np.full_like(fitting, np.inf)
    for shrink in _SHRINKS:
        scales = fitting * shrink
        wrong = np.clip(np.rint(blocks / scales), -8, 7) * scales - blocks
        error = _row_sums(wrong * wrong)
        best, least = np.where(error < least, scales, best), np.minimum(error, least)
    return best


def _row_sums(terms: FloatArray) -> FloatArray:
    """Sum of each row, added from left to right: float32, shape (n, 1)."""
    total = terms[:, :1].copy()
    for column in range(1, terms.shape[1]):
        total += terms[:, column : column + 1]
    return total
