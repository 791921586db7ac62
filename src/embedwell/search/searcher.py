"""From a question to ranked chunks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, get_args

import numpy as np

from embedwell.core.errors import (
    EmbeddingsOffError,
    PressureError,
    QueryError,
    SpaceMovedError,
)
from embedwell.core.vectors import FloatArray, IntArray
from embedwell.search.fusion import fused
from embedwell.search.pooling import ABSENT, pooled
from embedwell.search.results import Mode, SearchResult, SearchResults
from embedwell.stores.protocol import Filter, Scored, Store
from embedwell.stores.spaces import EVERYTHING

__all__ = ["EmbedQuery", "Mode", "QueryVector", "SearchResult", "SearchResults", "Searcher"]

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
        notice: Why others are not asked that would be; else empty.
    """

    vector: FloatArray
    space: int
    notice: str = ""


EmbedQuery: TypeAlias = Callable[[str, Filter], Sequence[QueryVector]]
"""Makes a query's vectors, one for each space that may hold what the filter lets through."""


class Searcher:
    """Searches the spaces of one store.

    Args:
        store: Where to look.
        embed_query: Makes a query's vectors; at least one.
    """

    def __init__(self, store: Store, embed_query: EmbedQuery) -> None:
        self._store = store
        self._embed_query = embed_query
        self._probes: dict[int, FloatArray] = {}

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
        asked, notice = self._vectors(query, mode, where)
        if not asked:
            mode = "lexical"
        embedded = time.perf_counter()
        for one in asked:
            self._store.warm(space=one.space)
        loaded = time.perf_counter()
        with self._store.snapshot():
            spaces = self._spaces(asked, where)
            scored, cosines, bm25 = self._ranking(query, asked, k, mode, where)
            results = self._read(scored, cosines, bm25)
        done = time.perf_counter()
        return SearchResults(
            query=query,
            mode=mode,
            space=spaces[0],
            took_ms=1000 * (done - began),
            embed_ms=1000 * (embedded - began) if asked else 0.0,
            load_ms=1000 * (loaded - embedded) if asked else 0.0,
            results=results,
            notice=notice,
            spaces=spaces,
        )

    def _vectors(self, query: str, mode: Mode, where: Filter) -> tuple[Sequence[QueryVector], str]:
        """The query's vectors where some are needed, and what there is to say about them."""
        if mode == "lexical":
            return (), ""
        try:
            asked = self._embed_query(query, where)
        except (EmbeddingsOffError, PressureError) as error:
            if mode == "semantic":
                raise
            return (), f"Searched by words only: {error.problem}"
        return asked, asked[0].notice

    def _spaces(self, asked: Sequence[QueryVector], where: Filter) -> tuple[str, ...]:
        """Ids of the spaces that are searched, if they still are those that may be."""
        if not asked:
            return (self._store.settings.space.id,)
        found = [self._store.spaces.get(one.space) for one in asked]
        for stored in found:
            if stored.role not in {"main", "code", "light"}:
                raise SpaceMovedError(
                    f"The index has gone over from {stored.space.model} to another space "
                    "meanwhile.",
                    "Search again.",
                )
        wanted = EVERYTHING if where.kind is None else (where.kind,)
        held = {kind for stored in found for kind in stored.holds}
        if not held.issuperset(wanted) and not asked[0].notice:
            raise SpaceMovedError(
                "The index has given text or code to another space meanwhile.", "Search again."
            )
        return tuple(stored.space.id for stored in found)

    def _ranking(
        self, query: str, asked: Sequence[QueryVector], k: int, mode: Mode, where: Filter
    ) -> Ranking:
        if not asked:
            found = self._store.matching(query, k, where)
            return found, None, found.scores
        depth = k if mode == "semantic" else max(CANDIDATES, k)
        near = [self._store.nearest(one.vector, depth, where, space=one.space) for one in asked]
        if mode == "semantic" and len(near) == 1:
            return near[0], near[0].scores, None
        ids = near[0].ids
        for found in near[1:]:
            ids = np.concatenate([ids, _without(found.ids, ids)])
        if mode == "hybrid":
            match = self._store.matching(query, depth, where).ids
            ids = np.concatenate([ids, _without(match, ids)])
        cosines = self._cosines(asked, near, ids)
        if mode == "semantic":
            order = np.lexsort((ids, -cosines))[:k]
            return Scored(ids[order], cosines[order]), cosines[order], None
        bm25 = self._store.match_scores(query, ids)
        # What no space that is asked holds was found by its words, and is as near as strangers.
        neutral = self._background(asked[0]) if (cosines <= ABSENT).any() else 0.0
        scores = fused(np.where(cosines > ABSENT, cosines, np.float32(neutral)), bm25)
        order = np.lexsort((ids, -scores))[:k]
        return Scored(ids[order], scores[order]), cosines[order], bm25[order]

    def _cosines(
        self, asked: Sequence[QueryVector], near: Sequence[Scored], ids: IntArray
    ) -> FloatArray:
        """Cosines of chunks, of several spaces on the scale of the first: float32, shape (n,)."""
        rows = []
        for one, found in zip(asked, near, strict=True):
            others = _without(ids, found.ids)
            theirs = self._store.similarities(one.vector, others, space=one.space)
            rows.append(_at(ids, found.ids, found.scores, others, theirs))
        if len(rows) == 1:
            return rows[0]
        return pooled(rows, [self._background(one) for one in asked])

    def _background(self, asked: QueryVector) -> float:
        """The query's mean cosine to the probe texts, as the space's first writer has them.

        Every space with vectors has them; see `embedwell.handshake`.
        """
        if asked.space not in self._probes:
            reference = self._store.spaces.reference(asked.space)
            if reference is None:  # nothing was written there
                return 0.0
            self._probes[asked.space] = reference.vectors.mean(axis=0)
        return float(asked.vector @ self._probes[asked.space])

    def _read(
        self, scored: Scored, cosines: FloatArray | None, bm25: FloatArray | None
    ) -> tuple[SearchResult, ...]:
        chunks = self._store.chunks(scored.ids.tolist())
        return tuple(
            SearchResult(
                rank=at + 1,
                score=float(scored.scores[at]),
                similarity=None if cosines is None or cosines[at] <= ABSENT else float(cosines[at]),
                bm25=None if bm25 is None else float(bm25[at]),
                chunk=chunk,
            )
            for at, chunk in enumerate(chunks)
        )


def _at(
    ids: IntArray, near: IntArray, scores: FloatArray, others: IntArray, theirs: FloatArray
) -> FloatArray:
    """Scores of ids, each of which is near or another one."""
    every = np.concatenate([near, others])
    order = np.argsort(every, kind="stable")
    found: FloatArray = np.concatenate([scores, theirs])[order[np.searchsorted(every[order], ids)]]
    return found


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
