"""What an index is asked with: the query as vectors of the spaces that can answer, and filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from embedwell.app.indexes.embedders import Embedders
from embedwell.app.indexes.light import DOES_NOT_FIT, has_light, light_embedder
from embedwell.core.errors import EmbedwellError, QueryError
from embedwell.core.events import Watch
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.search.searcher import QueryVector
from embedwell.stores.protocol import Filter, Store
from embedwell.stores.spaces import StoredSpace


def filter_of(where: Mapping[str, Any]) -> Filter:
    """The filter that a program or a person asks for: names of ours, and metadata.

    Raises:
        QueryError: The path, the language or the kind is none.
    """
    named = {name: where[name] for name in ("path", "language", "kind") if name in where}
    for name, value in named.items():
        if not isinstance(value, str | None):
            raise QueryError(f"The {name} {value!r} to search in is no text.", "Give it as a text.")
    if named.get("kind") not in {None, "text", "code"}:
        raise QueryError(f"The kind {named['kind']!r} is unknown.", "Use 'text' or 'code'.")
    rest = {name: value for name, value in where.items() if name not in named}
    return Filter(**named, metadata=rest)


def query_vectors(
    store: Store, embedders: Embedders, query: str, where: Filter
) -> Sequence[QueryVector]:
    """A query as vectors of the spaces that hold what may be found, the main one's first.

    Of a pair only the models that are needed are loaded. What does not fit is left out, and the
    notice says so; the light space stands in for a main one that does not fit.

    Args:
        store: What is searched.
        embedders: Of that store.
        query: The query.
        where: What may be found.

    Raises:
        OverBudgetError, PressureError, EngineMemoryError: No model that could answer fits.
        EmbedwellError: A model cannot be had, or is not fit for the store.
    """
    main, code = embedders.check(), store.spaces.code()
    asked = [one for one in (main, code) if one and where.kind in {None, *one.holds}]
    found: list[QueryVector] = []
    faults: list[EmbedwellError] = []
    for stored in asked:
        try:
            found.append(_vector(embedders.of(stored, Watch()), query))
        except DOES_NOT_FIT as error:
            if stored.role == "main" and (code is None or has_light(store)):
                embedder, notice = light_embedder(store, embedders, error)
                return [_vector(embedder, query, notice)]
            faults.append(error)
    if not found:
        raise faults[0]
    if faults:
        found[0] = _told(found[0], asked, faults[0])
    return found


def _vector(embedder: AdmittedEmbedder, query: str, notice: str = "") -> QueryVector:
    vector = embedder.embed([query], "query", Watch()).vectors[0]
    return QueryVector(vector, embedder.number, notice)


def _told(found: QueryVector, asked: Sequence[StoredSpace], error: EmbedwellError) -> QueryVector:
    """What is said where only one of two spaces answers."""
    left = next(one for one in asked if one.number == found.space)
    notice = f"Searched in the {left.role} space alone ({left.space.model}): {error.problem}"
    return QueryVector(found.vector, found.space, notice)
