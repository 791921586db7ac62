"""One cosine from those of several spaces, which are not comparable as they are. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embedwell.core.vectors import FloatArray

ABSENT = -1.0
"""What a store gives for a chunk that has no vector in a space."""


def pooled(cosines: Sequence[FloatArray], backgrounds: Sequence[float]) -> FloatArray:
    """The cosines of candidates on the scale of the first space.

    Models differ in what cosine two strange texts have: from 0 to 0.7. Every space has vectors of
    the same probe texts, so the query's mean cosine to these is known in each. A space's cosines
    are stretched so that this mean falls on the first one's, and 1 stays 1: it is the scale of
    drift, for this query. A candidate that several spaces hold gets the mean. docs/search.md has
    what was measured beside it.

    Args:
        cosines: Of each space: float32, shape (n,), `ABSENT` where it does not hold a candidate.
        backgrounds: The query's mean cosine to the probe texts in each space.

    Returns:
        float32, shape (n,); `ABSENT` where no space holds a candidate.
    """
    if len(cosines) == 1:
        return cosines[0]
    rows, first = np.stack(cosines).astype(np.float64), backgrounds[0]
    there = rows > ABSENT
    own = np.array(backgrounds)[:, None]
    scaled = np.where(there, first + (1 - first) * (rows - own) / (1 - own), 0.0)
    n = there.sum(axis=0)
    found = np.where(n > 0, scaled.sum(axis=0) / np.maximum(n, 1), ABSENT)
    return found.astype(np.float32)
