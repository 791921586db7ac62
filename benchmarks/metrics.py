"""Measures of quality, from their definitions."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def ndcg(ranked: Sequence[str], right: Collection[str], k: int = 10) -> float:
    """Normalized discounted cumulative gain with gains of 0 or 1 (Järvelin and Kekäläinen 2002)."""
    gained = sum(1 / math.log2(i + 2) for i, id_ in enumerate(ranked[:k]) if id_ in right)
    best = sum(1 / math.log2(i + 2) for i in range(min(k, len(right))))
    return gained / best


def recall(ranked: Sequence[str], right: Collection[str], k: int = 10) -> float:
    """Part of the right ones that is among the first k."""
    return len(set(ranked[:k]) & set(right)) / len(right)


def reciprocal_rank(ranked: Sequence[str], right: Collection[str], k: int = 10) -> float:
    """1 ÷ the rank of the first right one, 0 where it is not among the first k."""
    return next((1 / (i + 1) for i, id_ in enumerate(ranked[:k]) if id_ in right), 0.0)


def reciprocal_rank_fusion(rankings: Sequence[Sequence[str]], k: float) -> list[str]:
    """Ranked by the sum of 1 ÷ (k + rank) over the lists (Cormack, Clarke and Büttcher 2009)."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, id_ in enumerate(ranking, start=1):
            scores[id_] = scores.get(id_, 0.0) + 1 / (k + rank)
    return sorted(scores, key=lambda id_: -scores[id_])


def spearman(a: Floats, b: Floats) -> float:
    """Pearson correlation of the ranks; equal values share their mean rank."""
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def cosines(a: Floats, b: Floats) -> npt.NDArray[np.float64]:
    """Cosine of each row of one with the same row of the other, in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.einsum("nd,nd->n", a, b) / lengths


def _ranks(values: Floats) -> npt.NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    return mean_ranks[inverse]
