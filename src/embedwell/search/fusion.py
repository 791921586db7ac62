"""One score from two: cosine and BM25, known for every candidate. Pure."""

from __future__ import annotations

import numpy as np

from embedwell.core.vectors import FloatArray

DEPTH = 20
"""How far down each list one looks to see how sharply its first stands out."""
LEXICAL_WEIGHT = 0.006
"""Weight of the words beside 1 for the meaning, where both lists stand out by 1."""
LEAST_GAPS = (0.01, 0.2)
"""Added to the gaps of cosine and of BM25, so that no list without a gap decides alone."""
WEIGHTS = (0.02, 4.0)
"""Least and most that the words weigh."""


def fused(cosines: FloatArray, bm25: FloatArray) -> FloatArray:
    """Scores of all candidates of a query, from both their scores.

    The score is the mean of the cosine and of BM25 over the query's highest. What BM25 weighs
    depends on the query: on how far the best passage by words stands out from those behind it,
    against the same by meaning. A model that does not know the query's language gives flat
    cosines, and a question in other words than the text's gives flat BM25. Plain cosines, not
    stretched to 0..1, keep that difference. docs/search.md has the measurements.

    Args:
        cosines: float32, shape (n,), for the best of both lists.
        bm25: float32, shape (n,), 0 where no word occurs.

    Returns:
        float32, shape (n,), in 0..1.
    """
    if not len(cosines):
        return cosines
    weight = lexical_weight(cosines, bm25)
    share = bm25 / max(bm25.max(), np.float32(1e-6))
    scores: FloatArray = (cosines + weight * share) / (1 + weight)
    return np.clip(scores, 0, 1).astype(np.float32)


def lexical_weight(cosines: FloatArray, bm25: FloatArray) -> float:
    """What BM25 weighs beside 1 for the cosine; 0 where no word occurs at all."""
    if not bm25.any():
        return 0.0
    semantic_gap = gap(cosines) + LEAST_GAPS[0]
    lexical_gap = gap(bm25) + LEAST_GAPS[1]
    return float(np.clip(LEXICAL_WEIGHT * lexical_gap / semantic_gap, *WEIGHTS))


def gap(scores: FloatArray) -> float:
    """How far the highest of some scores is above the one at `DEPTH`, or above the last."""
    at = min(DEPTH, len(scores))
    ranked = np.partition(scores, len(scores) - at)
    return float(scores.max() - ranked[len(scores) - at])
