"""One score from two: cosine and BM25, known for every candidate. Pure."""

from __future__ import annotations

import numpy as np

from embedwell.core.vectors import FloatArray

SEMANTIC_SHARE = 0.6
"""Weight of the semantic part; the lexical one has the rest."""


def fused(cosines: FloatArray, bm25: FloatArray) -> FloatArray:
    """Scores of candidates in 0..1.

    Args:
        cosines: float32, shape (n,).
        bm25: float32, shape (n,), 0 where no word occurs.

    Returns:
        float32, shape (n,): the weighted mean of the cosine, scaled to 0..1 between the
        candidates' least and highest, and of BM25 over its highest.
    """
    if not len(cosines):
        return cosines
    low, high = cosines.min(), cosines.max()
    semantic = (cosines - low) / max(high - low, np.float32(1e-6))
    lexical = bm25 / max(bm25.max(), np.float32(1e-6))
    scores: FloatArray = SEMANTIC_SHARE * semantic + (1 - SEMANTIC_SHARE) * lexical
    return scores.astype(np.float32)
