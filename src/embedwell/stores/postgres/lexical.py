"""The lexical half: words in a tsvector, BM25 of the rows that have them.

PostgreSQL finds the rows, by a GIN index; it has no BM25, which is computed here from how often
each row has each word, how many rows have it, and the rows' lengths.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.index import best
from embedwell.stores.postgres import statements
from embedwell.stores.postgres.database import Database
from embedwell.stores.postgres.filters import Conditions
from embedwell.stores.values import Scored, StoredChunk
from embedwell.stores.words import (
    COMMON_SHARE,
    FREE_MATCHES,
    query_words,
    telling_words,
)

K1, B = 1.2, 0.75
"""BM25's parameters, as SQLite's FTS5 has them."""
COUNTED_CHUNKS = 20_000
"""Up to so many chunks are counted for every query; above, every `TOTALS_S` seconds."""
TOTALS_S = 60.0
MOST_CHARACTERS = 250_000
"""Of a chunk's words: a tsvector holds 1 MB."""

_WORD = re.compile(r"[^\W_]+")
_MOST_POSITIONS = 256  # that a tsvector keeps of one word
# ts_rank of one word, all weights 1, is the sum of 1/j² for j = 1..n, over π²/6, where n is how
# often the word occurs (calc_rank_or in src/backend/utils/adt/tsrank.c). n is read off from that:
# the other way to it, unnest(words), costs 20 times as much.
_RANKS = np.cumsum(1 / np.arange(1, _MOST_POSITIONS + 1) ** 2) / 1.64493406685
_BETWEEN_RANKS = (_RANKS[1:] + _RANKS[:-1]) / 2


@dataclass(frozen=True)
class WordWeights:
    """What a query's words weigh now.

    Attributes:
        idf: Inverse document frequency by word, for those that are scored.
        mean_length: Mean number of words of a chunk.
    """

    idf: dict[str, float]
    mean_length: float


class Lexical:
    """The words of the chunks of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._totals: tuple[float, int, int] = (-TOTALS_S, 0, 0)
        self._weights: tuple[tuple[str, int], WordWeights] | None = None

    def add(self, chunks: Mapping[int, list[str]]) -> None:
        """Index chunks, given by their ids, by their words."""
        lengths = [len(words) for words in chunks.values()]
        joined = [" ".join(words)[:MOST_CHARACTERS] for words in chunks.values()]
        self._database.change(statements.INDEX_CHUNKS, (list(chunks), lengths, joined))

    def matching(self, query: str, k: int, where: Conditions) -> Scored:
        """The k chunks with the highest BM25 among those that a filter lets through."""
        allowed = statements.IF_ALLOWED.replace("{conditions}", where.text) if where.text else ""
        found = self._scored(query, allowed, where.values)
        return best(found.ids, found.scores, k)

    def scores(self, query: str, ids: IntArray) -> FloatArray:
        """BM25 for given chunks, 0 where no word occurs: float32, shape (len(ids),)."""
        wanted = np.asarray(ids, np.int64)
        found = self._scored(query, statements.IF_ONE_OF, {"ids": wanted.tolist()})
        by_id = dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))
        return np.array([by_id.get(chunk, 0) for chunk in wanted.tolist()], np.float32)

    def _scored(self, query: str, condition: str, values: dict[str, object]) -> Scored:
        """Chunks that have a word of a query, by no order."""
        weights = self._weights_of(query)
        if not weights.idf:
            return Scored(np.empty(0, np.int64), np.empty(0, np.float32))
        names = {f"word_{at}": word for at, word in enumerate(weights.idf)}
        statement = statements.MATCHES.format(
            ranks=", ".join(statements.RANK.format(name=name) for name in names),
            any_word=" || ".join(f"plainto_tsquery('words', %({name})s)" for name in names),
            conditions=condition,
        )
        rows = self._database.rows(statement, {**values, **names})
        table = np.array(rows, np.float64).reshape(-1, 2 + len(names))
        scores = bm25(table[:, 2:], table[:, 1], list(weights.idf.values()), weights.mean_length)
        return Scored(table[:, 0].astype(np.int64), scores)

    def _weights_of(self, query: str) -> WordWeights:
        """Kept while a snapshot lasts, since both halves of a search ask."""
        asked = query, self._database.n_snapshots
        if self._database.in_snapshot and self._weights and self._weights[0] == asked:
            return self._weights[1]
        n_chunks, n_words = self._count_all()
        counts = self._word_counts(list(dict.fromkeys(map(folded, query_words(query)))), n_chunks)
        words = telling_words(counts, n_chunks)
        idf = {
            word: float(max(np.log((n_chunks - counts[word] + 0.5) / (counts[word] + 0.5)), 1e-6))
            for word in words
        }
        weights = WordWeights(idf, n_words / max(n_chunks, 1))
        self._weights = asked, weights
        return weights

    def _count_all(self) -> tuple[int, int]:
        """How many chunks there are, and how many words in all."""
        age = time.monotonic() - self._totals[0]
        if age > TOTALS_S or self._totals[1] <= COUNTED_CHUNKS:
            ((n_chunks, n_words),) = self._database.rows(statements.TOTALS)
            self._totals = time.monotonic(), n_chunks, n_words
        return self._totals[1:]

    def _word_counts(self, words: list[str], n_chunks: int) -> dict[str, int]:
        """How many chunks have each word; those in none left out.

        Counting stops where a word is too common to be scored, unless all of them are.
        """
        if not words:
            return {}
        most: int | None = int(FREE_MATCHES + COMMON_SHARE * n_chunks) + 1
        rows = self._database.rows(statements.WORD_COUNTS, (most, words))
        counts = {word: n for word, n in rows if n}
        if counts and most is not None and min(counts.values()) >= most:
            rows = self._database.rows(statements.WORD_COUNTS, (None, list(counts)))
            counts = {word: n for word, n in rows if n}
        return counts


def found_by(chunk: StoredChunk, key: str) -> str:
    """The text by whose words a chunk is found: its title, path and text."""
    return f"{chunk.title}\n{key}\n{chunk.text}"


def chunk_words(text: str, pieces: Sequence[str]) -> list[str]:
    """The words by which a chunk is found.

    Args:
        text: See `found_by`.
        pieces: Parts of the names in it.
    """
    return _WORD.findall(folded(text)) + folded(" ".join(pieces)).split()


def folded(text: str) -> str:
    """Lower case without accents: the server may lack the extension that does so."""
    if text.isascii():  # most are, and this takes a hundredth of the time
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.lower())
    return "".join(mark for mark in apart if not unicodedata.combining(mark))


def bm25(
    ranks: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.float64],
    idf: Sequence[float],
    mean_length: float,
) -> FloatArray:
    """BM25 of n chunks for w words (Robertson and Zaragoza, 2009, as FTS5 documents it).

    Args:
        ranks: PostgreSQL's ts_rank for each word, 0 where it is not: shape (n, w).
        lengths: Words of each chunk: shape (n,).
        idf: Of each word.
        mean_length: Words of a chunk on average.

    Returns:
        float32, shape (n,).
    """
    counts = np.where(ranks > 0, np.searchsorted(_BETWEEN_RANKS, ranks) + 1, 0)
    length = K1 * (1 - B + B * lengths / max(mean_length, 1e-9))
    scores: FloatArray = (counts * (K1 + 1) / (counts + length[:, None]) @ np.array(idf)).astype(
        np.float32
    )
    return scores
