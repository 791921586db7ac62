"""Vectors as every store keeps them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedwell.core.errors import BadVectorError
from embedwell.core.vectors import FloatArray, IntArray, check_vectors, normalized
from embedwell.stores.index import DECIMALS
from embedwell.stores.protocol import DocumentChunks


def halves_of_all(
    given: Sequence[tuple[DocumentChunks, FloatArray]], dimensions: int
) -> npt.NDArray[np.float16]:
    """Vectors of documents rounded to float16, one after another: shape (n of all, dimensions).

    Args:
        given: Documents, each with its vectors in one space.
        dimensions: Of that space.

    Raises:
        BadVectorError: As `to_half`, or a document has not one vector for each chunk.
    """
    if not given:
        return np.empty((0, dimensions), np.float16)
    try:
        return _together(given, dimensions)
    except (BadVectorError, ValueError):
        for item, vectors in given:  # the error is about one document, not about all
            _halves_of(item, vectors, dimensions)
        raise


def _halves_of(
    item: DocumentChunks, vectors: FloatArray, dimensions: int
) -> npt.NDArray[np.float16]:
    if len(vectors) != len(item.chunks):
        raise BadVectorError(
            f"'{item.document.key}' has {len(item.chunks)} chunks and {len(vectors)} vectors.",
            "Give one vector for each chunk.",
        )
    return to_half(vectors, len(item.chunks), dimensions)


def _together(
    given: Sequence[tuple[DocumentChunks, FloatArray]], dimensions: int
) -> npt.NDArray[np.float16]:
    """Checked at once: a hundred times faster than each alone."""
    if any(len(vectors) != len(item.chunks) for item, vectors in given):
        raise ValueError
    filled = [vectors for _, vectors in given if len(vectors)]
    joined = np.concatenate(filled) if filled else np.empty((0, dimensions), np.float32)
    return to_half(joined, len(joined), dimensions)


def to_half(vectors: FloatArray, n: int, dimensions: int) -> npt.NDArray[np.float16]:
    """Vectors rounded to float16: shape (n, dimensions).

    Raises:
        BadVectorError: A vector is NaN, infinite or zero (also after rounding) or of another
            length, or there are not n.
    """
    if len(vectors) != n:
        raise BadVectorError(
            f"{len(vectors)} vectors came for {n} chunks.", "Give one vector for each chunk."
        )
    if not n:
        return np.empty((0, dimensions), np.float16)
    with np.errstate(over="ignore"):
        half = np.asarray(vectors).astype(np.float16)
    check_vectors(half.astype(np.float32), dimensions)
    return half


def unit_of(vector: FloatArray, dimensions: int) -> FloatArray:
    """A vector of shape (d,) scaled to length 1.

    Raises:
        BadVectorError: It is NaN, infinite, zero or of another length.
    """
    rows = np.asarray(vector, np.float32)[None]
    check_vectors(rows, dimensions)
    unit: FloatArray = normalized(rows)[0]
    return unit


def cosines(unit: FloatArray, vectors: FloatArray) -> FloatArray:
    """Cosine of a unit vector (d,) to stored ones (n, d), -1 for NaN rows: float32, shape (n,)."""
    # Rounding to float16 moved their lengths by up to 1e-3.
    scores = np.round(normalized(vectors) @ unit, DECIMALS)
    return np.where(np.isnan(scores), np.float32(-1), scores).astype(np.float32)


def spread(ids: IntArray, n: int) -> IntArray:
    """At most n of some ids (int64), at equal distances, in their order."""
    if len(ids) <= n:
        return ids
    return ids[np.linspace(0, len(ids) - 1, n).astype(np.int64)]
