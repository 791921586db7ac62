"""Vectors as every store keeps them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedwell.core.errors import BadVectorError
from embedwell.core.vectors import FloatArray, IntArray, check_vectors, normalized
from embedwell.stores.index import DECIMALS
from embedwell.stores.protocol import DocumentChunks


def halves_of(item: DocumentChunks, dimensions: int) -> npt.NDArray[np.float16]:
    """A document's vectors, rounded to float16: shape (len(item.chunks), dimensions).

    Raises:
        BadVectorError: As `to_half`.
    """
    if len(item.vectors) != len(item.chunks):
        raise BadVectorError(
            f"'{item.document.key}' has {len(item.chunks)} chunks and {len(item.vectors)} vectors.",
            "Give one vector for each chunk.",
        )
    return to_half(item.vectors, len(item.chunks), dimensions)


def halves_of_all(documents: Sequence[DocumentChunks], dimensions: int) -> npt.NDArray[np.float16]:
    """The vectors of documents one after another: shape (chunks of all, dimensions).

    Raises:
        BadVectorError: As `halves_of`.
    """
    if not documents:
        return np.empty((0, dimensions), np.float16)
    try:
        return _together(documents, dimensions)
    except (BadVectorError, ValueError):
        for item in documents:  # the error is about one document, not about all
            halves_of(item, dimensions)
        raise


def _together(documents: Sequence[DocumentChunks], dimensions: int) -> npt.NDArray[np.float16]:
    """Checked at once: a hundred times faster than each alone."""
    if any(len(item.vectors) != len(item.chunks) for item in documents):
        raise ValueError
    filled = [item.vectors for item in documents if len(item.vectors)]
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
