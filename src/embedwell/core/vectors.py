"""What a vector must be before it is compared or kept."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from embedwell.core.errors import BadVectorError

FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]


def normalized(vectors: FloatArray) -> FloatArray:
    """Scale each row to length 1.

    Args:
        vectors: float32, shape (n, d).

    Returns:
        float32, shape (n, d); an all-zero row stays zero.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float32))
    scaled: FloatArray = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)[:, None]
    return scaled


def shortened(vectors: FloatArray, dimensions: int, *, centred: bool) -> FloatArray:
    """The beginning of each row, as models with Matryoshka vectors are trained for.

    Kusupati et al. 2022 (https://arxiv.org/abs/2205.13147). Their length is for the caller to
    scale; it does not matter whether they were scaled before.

    Args:
        vectors: float32, shape (n, d).
        dimensions: At most d.
        centred: Whether each row's mean is taken off it first: a layer norm without weights, but
            for the length.
    """
    if centred:
        vectors = vectors - vectors.mean(axis=1, keepdims=True, dtype=np.float32)
    cut: FloatArray = vectors[:, :dimensions]
    return cut


def unusable(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Which rows are NaN, infinite or all zero: bool, shape (n,)."""
    return np.asarray(~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1))


def check_vectors(vectors: FloatArray, dimensions: int) -> None:
    """Refuse vectors that no search could ever find or trust.

    Args:
        vectors: float32, shape (n, d).
        dimensions: The d that the space declares.

    Raises:
        BadVectorError: A row has another length, a NaN or infinite value, or only zeros.
    """
    if vectors.ndim != 2 or vectors.shape[1] != dimensions:
        raise BadVectorError(
            f"The vectors have shape {vectors.shape}, expected (n, {dimensions}).",
            "Embed with the model that the space names.",
        )
    bad = unusable(vectors)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise BadVectorError(
            f"{int(bad.sum())} of {len(vectors)} vectors are NaN, infinite or all zero "
            f"(the first is row {row}).",
            "Run `embedwell doctor`: the artifact or the engine is broken.",
        )
