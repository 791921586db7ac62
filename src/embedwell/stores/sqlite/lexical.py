"""The lexical half: FTS5 and BM25."""

from __future__ import annotations

import numpy as np

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.index import best
from embedwell.stores.protocol import Scored
from embedwell.stores.sqlite import statements
from embedwell.stores.sqlite.database import Database
from embedwell.stores.words import query_words, telling_words

MATCHES = statements.MATCHES.format(title=1.0, path=1.0, text=1.0, pieces=1.0)


def all_matches(database: Database, query: str, n_chunks: int) -> Scored:
    """Every chunk with one of a query's words, and its BM25, by id.

    FTS5 scores each match it visits anyway, so the best k cost the same as all; having all gives
    any chunk's score without asking again, which FTS5 does slowly by row id.

    Args:
        database: The open file.
        query: Any text.
        n_chunks: How many chunks there are.
    """
    words = words_to_score(database, query, n_chunks)
    rows = database.rows(MATCHES, (expression(words),)) if words else []
    table = np.array(rows, np.float64).reshape(-1, 2)
    ids, scores = table[:, 0].astype(np.int64), -table[:, 1].astype(np.float32)
    order = np.argsort(ids)
    return Scored(ids[order], scores[order])


def words_to_score(database: Database, query: str, n_chunks: int) -> list[str]:
    """The words of a query that are in some chunk and tell something."""
    counts = {
        word: count
        for word in query_words(query)
        if (count := database.value(statements.MATCH_COUNT, (expression([word]),)))
    }
    return telling_words(counts, n_chunks)


def expression(words: list[str]) -> str:
    """An FTS5 expression for any of some words; quoted, so that none is syntax."""
    return " OR ".join(f'"{word}"' for word in words)


def best_matches(matches: Scored, k: int, allowed: IntArray | None) -> Scored:
    """The k best of all matches among the allowed ids (ascending), or among all."""
    if allowed is None:
        return best(matches.ids, matches.scores, k)
    keep = np.isin(matches.ids, allowed, assume_unique=True)
    return best(matches.ids[keep], matches.scores[keep], k)


def scores_of(matches: Scored, ids: IntArray) -> FloatArray:
    """Scores of given ids, 0 for those that do not match: float32, shape (len(ids),)."""
    if not len(matches.ids):
        return np.zeros(len(ids), np.float32)
    at = np.minimum(np.searchsorted(matches.ids, ids), len(matches.ids) - 1)
    return np.where(matches.ids[at] == ids, matches.scores[at], np.float32(0))
