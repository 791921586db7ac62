"""What the vectors are worth: similarity judgements, and finding the right document.

Retrieval runs through the product's own store and searcher, each document being one chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from benchmarks.datasets import Pairs, Retrieval, cosqa, piaf, scifact, sts_b
from benchmarks.engines import DYNAMIC, ENGINES, OURS, REFERENCE, Engine
from benchmarks.metrics import (
    cosines,
    ndcg,
    recall,
    reciprocal_rank,
    reciprocal_rank_fusion,
    spearman,
)
from benchmarks.retrieval import build, rankings
from benchmarks.vectors import vectors

JUDGED = (REFERENCE, "embedwell q32", OURS, "embedwell q4", DYNAMIC, f"{DYNAMIC}, tuned")
SEARCHED = (REFERENCE, "embedwell q32", DYNAMIC)  # SciFact by exact cosine; q8 through the product
FUSION_KS = (10, 60)
MEASURES: Mapping[str, Callable[[Sequence[str], Collection[str]], float]] = {
    "ndcg_10": ndcg,
    "recall_10": recall,
    "mrr_10": reciprocal_rank,
}


def measure(data: Path, n_threads: int) -> dict[str, Any]:
    """All tables of quality; returns what JSON keeps. Threads change the time, not the results."""
    pairs = [sts_b(data, language) for language in ("en", "fr")]
    sets = [scifact(data), cosqa(data), piaf(data)]
    return {
        "sts": [sts_row(ENGINES[name], pairs, n_threads) for name in JUDGED],
        "scifact": [exact_row(ENGINES[name], sets[0], n_threads) for name in SEARCHED],
        "search": [search_rows(set_, n_threads) for set_ in sets],
    }


def sts_row(engine: Engine, pairs: Sequence[Pairs], n_threads: int) -> dict[str, Any]:
    """Spearman, in hundredths, of cosine and judgement on each set."""
    print(f"  STS-B: {engine.name}", flush=True)
    texts = [text for set_ in pairs for side in (set_.left, set_.right) for text in side]
    found = np.split(vectors(engine, texts, "document", n_threads), 2 * len(pairs))
    scores = {
        set_.name: round(100 * spearman(cosines(left, right), np.array(set_.gold)), 2)
        for set_, left, right in zip(pairs, found[::2], found[1::2], strict=True)
    }
    return {"engine": engine.name, "spearman": scores}


def exact_row(engine: Engine, set_: Retrieval, n_threads: int) -> dict[str, Any]:
    """Semantic search by exact cosine, without the product's store."""
    print(f"  {set_.name}: {engine.name}", flush=True)
    documents = vectors(engine, list(set_.documents.values()), "document", n_threads)
    questions = vectors(engine, list(set_.questions.values()), "query", n_threads)
    ids = list(set_.documents)
    best = np.argsort(-(questions @ documents.T), axis=1, kind="stable")[:, :10]
    ranked = {q: [ids[i] for i in row] for q, row in zip(set_.questions, best, strict=True)}
    return {"engine": engine.name} | scores(ranked, set_)


def search_rows(set_: Retrieval, n_threads: int, engine: Engine = ENGINES[OURS]) -> dict[str, Any]:
    """Each way of searching on one set, and equal-weight fusion of ranks beside them."""
    print(f"  {set_.name}: {engine.name}, stored and searched", flush=True)
    documents = vectors(engine, list(set_.documents.values()), "document", n_threads)
    questions = vectors(engine, list(set_.questions.values()), "query", n_threads)
    with build(set_, documents) as store:
        ranked = rankings(store, set_, questions)
    for k in FUSION_KS:
        ranked[f"rank fusion, k = {k}"] = {
            q: reciprocal_rank_fusion([ranked["semantic"][q], ranked["lexical"][q]], k)
            for q in set_.questions
        }
    rows = [{"mode": mode} | scores(found, set_) for mode, found in ranked.items()]
    return {
        "set": set_.name,
        "n_documents": len(set_.documents),
        "n_questions": len(set_.questions),
        "rows": rows,
    }


def scores(ranked: Mapping[str, Sequence[str]], set_: Retrieval) -> dict[str, float]:
    """The mean of each measure over all questions, in hundredths."""
    return {
        name: round(100 * mean(measured(ranked[q], set_.answers[q]) for q in set_.questions), 2)
        for name, measured in MEASURES.items()
    }
