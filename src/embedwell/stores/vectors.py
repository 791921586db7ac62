"""Vectors as every store keeps them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from embedwell.core.errors import BadVectorError
from embedwell.core.vectors import check_vectors
from embedwell.stores.protocol import DocumentChunks


def to_half(item: DocumentChunks, dimensions: int) -> npt.NDArray[np.float16]:
    """A document's vectors, rounded to float16: shape (len(item.chunks), dimensions).

    Raises:
        BadVectorError: A vector is NaN, infinite or zero (also after rounding) or of another
            length, or there is not one for each chunk.
    """
    if len(item.vectors) != len(item.chunks):
        raise BadVectorError(
            f"'{item.document.key}' has {len(item.chunks)} chunks and {len(item.vectors)} vectors.",
            "Give one vector for each chunk.",
        )
    if not len(item.chunks):
        return np.empty((0, dimensions), np.float16)
    with np.errstate(over="ignore"):
        half = np.asarray(item.vectors).astype(np.float16)
    check_vectors(half.astype(np.float32), dimensions)
    return half
