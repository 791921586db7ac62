"""From a question to ranked chunks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import numpy as np

from embedwell.core.errors import (
    EmbeddingsOffError,
    PressureError,
    QueryError,
    SpaceMovedError,
)
from embedwell.core.vectors import FloatArray, IntArray
from embedwell.search.fusion import fused
from embedwell.search.results import Mode, SearchResult, SearchResults
from embedwell.stores.protocol import Filter, Scored, Store

__all__ = ["Mode", "QueryVector", "SearchResult", "SearchResults", "Searcher"]

CANDIDATES = 100
"""How many each half names; raised where more results are asked for."""

Ranking = tuple[Scored, FloatArray | None, FloatArray | None]
"""Ids and scores, best first, with their cosines and BM25 where they are known."""


@dataclass(frozen=True)
class QueryVector:
    """A query as a vector.

    Attributes:
        vector: float32, shape (d,), unit length.
        space: Number of the store's space that it belongs to.
        notice: Why it is not the main space, where it is another; else empty.
    """

    vector: FloatArray
    space: int
    notice: str = ""


class Searcher:
    """Searches one store with one embedder.

    Args:
        store: Where to look.
        embed_query: Makes a query's vector.
    """

    def __init__(self, store: Store, embed_query: Callable[[str], QueryVector]) -> None:
        self._store = store
        self._embed_query = embed_query

    def search(
        self, query: str, k: int = 10, mode: Mode = "hybrid", where: Filter | None = None
    ) -> SearchResults:
        """The k best chunks.

        A hybrid search while no model may run is one by words, and its `notice` says so.

        Args:
            query: Any text; what an index may take for syntax is only text here.
            k: How many, at least 1; fewer come where fewer can be found.
            mode: By meaning and words, by meaning, or by words.
            where: Which chunks may be found; all by default.

        Raises:
            QueryError: The query is blank, k is less than 1, there is no such mode, or the filter
                cannot be applied.
            BadVectorError: The embedder gave no usable vector.
            EmbeddingsOffError, PressureError: No model may run, and the mode is `semantic`.
            SpaceMovedError: The store went over to another space in this moment.
            StoreError: The store could not be read.
        """
        _check(query, k, mode)
        where = where or Filter()
        began = time.perf_counter()
        asked, notice = self._vector(query, mode)
        if asked is None:
            mode = "lexical"
        embedded = time.perf_counter()
        if asked is not None:
            self._store.warm(space=asked.space)
        loaded = time.perf_counter()
        with self._store.snapshot():
            space = self._space(asked)
            scored, cosines, bm25 = self._ranking(query, asked, k, mode, where)
            results = self._read(scored, cosines, bm25)
        done = time.perf_counter()
        return SearchResults(
            query=query,
            mode=mode,
            space=space,
            took_ms=1000 * (done - began),
            embed_ms=1000 * (embedded - began) if asked is not None else 0.0,
            load_ms=1000 * (loaded - embedded) if asked is not None else 0.0,
            results=results,
            notice=notice,
        )

    def _vector(self, query: str, mode: Mode) -> tuple[QueryVector | None, str]:
        """The query's vector where one is needed, and what there is to say about it."""
        if mode == "lexical":
            return None, ""
        try:
            asked = self._embed_query(query)
        except (EmbeddingsOffError, PressureError) as error:
            if mode == "semantic":
                raise
            return None, f"Searched by words only: {error.problem}"
        return asked, asked.notice

    def _space(self, asked: QueryVector | None) -> str:
        """Id of the space that is searched, if it still is one that may be."""
        if asked is None:
            return self._store.settings.space.id
        stored = self._store.spaces.get(asked.space)
        if stored.role not in {"main", "light"}:
            raise SpaceMovedError(
                f"The index has gone over from {stored.space.model} to another space meanwhile.",
                "Search again.",
            )
        return stored.space.id

    def _ranking(
        self, query: str, asked: QueryVector | None, k: int, mode: Mode, where: Filter
    ) -> Ranking:
        if asked is None:
            found = self._store.matching(query, k, where)
            return found, None, found.scores
        if mode == "semantic":
            found = self._store.nearest(asked.vector, k, where, space=asked.space)
            return found, found.scores, None
        depth = max(CANDIDATES, k)
        near = self._store.nearest(asked.vector, depth, where, space=asked.space)
        match = self._store.matching(query, depth, where).ids
        others = _without(match, near.ids)
        theirs = self._store.similarities(asked.vector, others, space=asked.space)
        ids, cosines = np.concatenate([near.ids, others]), np.concatenate([near.scores, theirs])
        bm25 = self._store.match_scores(query, ids)
        scores = fused(cosines, bm25)
        order = np.lexsort((ids, -scores))[:k]
        return Scored(ids[order], scores[order]), cosines[order], bm25[order]

    def _read(
        self, scored: Scored, cosines: FloatArray | None, bm25: FloatArray | None
    ) -> tuple[SearchResult, ...]:
        chunks = self._store.chunks(scored.ids.tolist())
        return tuple(
            SearchResult(
                rank=at + 1,
                score=float(scored.scores[at]),
                similarity=None if cosines is None else float(cosines[at]),
                bm25=None if bm25 is None else float(bm25[at]),
                chunk=chunk,
            )
            for at, chunk in enumerate(chunks)
        )


def _without(ids: IntArray, known: IntArray) -> IntArray:
    """Ids that are not known. `np.isin` would load `numpy.ma`, 10 ms of a first search."""
    if not len(known):
        return ids
    known = np.sort(known)
    at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    new: IntArray = ids[known[at] != ids]
    return new


def _check(query: str, k: int, mode: Mode) -> None:
    if not query.strip():
        raise QueryError("The query is empty.", "Say what to look for.")
    if k < 1:
        raise QueryError(f"{k} results were asked for.", "Ask for at least 1.")
    if mode not in get_args(Mode):
        raise QueryError(f"There is no mode '{mode}'.", f"Use one of: {', '.join(get_args(Mode))}.")
