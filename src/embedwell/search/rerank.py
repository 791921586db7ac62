"""The best of what a search has found, in the order of a model that reads query and passage."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from embedwell.core.events import Watch
from embedwell.handshake.prove import embedded_text
from embedwell.runtime.relevance import TextReranker
from embedwell.search.results import SearchResults

CANDIDATES = 50
"""How many results are read again; more where more are asked for."""


def reranked(
    search: Callable[[int], SearchResults], reranker: TextReranker, k: int, watch: Watch
) -> SearchResults:
    """Search for more than is wanted, and keep those that the reranker scores highest.

    Args:
        search: Finds that many.
        reranker: Scores the passages, each with its title as it was embedded.
        k: How many to keep.
        watch: Asked to stop.

    Returns:
        Results whose `score` is the reranker's; `similarity` and `bm25` are as they were found.

    Raises:
        QueryError: The query leaves no room for a passage.
        EmbedwellError: The search or the reranker failed.
    """
    began = time.perf_counter()
    found = search(max(k, CANDIDATES) if k > 0 else k)
    texts = [embedded_text(result.chunk) for result in found.results]
    scores = reranker.score(found.query, texts, watch).scores.tolist() if texts else []
    order = sorted(range(len(scores)), key=lambda at: (-scores[at], at))[:k]
    results = tuple(
        replace(found.results[at], rank=rank, score=scores[at])
        for rank, at in enumerate(order, start=1)
    )
    return replace(found, results=results, took_ms=1000 * (time.perf_counter() - began))
