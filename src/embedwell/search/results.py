"""What a search gives, and its JSON form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from embedwell.stores.protocol import FoundChunk

Mode = Literal["hybrid", "semantic", "lexical"]


@dataclass(frozen=True)
class SearchResult:
    """A chunk that was found.

    Attributes:
        rank: From 1.
        score: What it was ranked by, higher is better: cosine (semantic), BM25 (lexical), or
            their fusion, 0..1 (hybrid).
        similarity: Cosine to the query, -1..1, where two spaces were searched on the scale of the
            first; None in lexical mode, and where no space that was searched holds it.
        bm25: BM25 of the query's words, 0 where none occurs; None in semantic mode.
        chunk: The passage and where it is.
    """

    rank: int
    score: float
    similarity: float | None
    bm25: float | None
    chunk: FoundChunk


@dataclass(frozen=True)
class SearchResults:
    """The answer to a query.

    Attributes:
        query: As it was asked.
        mode: How it was searched: `lexical` also where meaning could not be asked, see `notice`.
        space: Id of the space that was searched; of the first, where two were.
        took_ms: Time for all of it; the search itself took what the next two leave of it.
        embed_ms: Embedding the query, and loading the model the first time; 0 in lexical mode.
        load_ms: Bringing vectors into memory, which only the first search does at length.
        results: Best first.
        notice: Why it was searched otherwise than asked; empty where it was not.
        spaces: Ids of all spaces that were searched.
    """

    query: str
    mode: Mode
    space: str
    took_ms: float
    embed_ms: float
    load_ms: float
    results: tuple[SearchResult, ...]
    notice: str = ""
    spaces: tuple[str, ...] = ()


def as_json(found: SearchResults) -> dict[str, Any]:
    """The form that `embedwell search --json` prints; see docs/search.md."""
    form: dict[str, Any] = {
        "query": found.query,
        "mode": found.mode,
        "space": found.space,
        "took_ms": round(found.took_ms, 2),
        "results": [_result_as_json(result) for result in found.results],
    }
    if len(found.spaces) > 1:
        form["spaces"] = list(found.spaces)
    return form | {"notice": found.notice} if found.notice else form


def _result_as_json(result: SearchResult) -> dict[str, Any]:
    passage = result.chunk.chunk
    return {
        "rank": result.rank,
        "score": round(result.score, 4),
        "id": result.chunk.id,
        "path": result.chunk.key,
        "start_line": passage.start_line,
        "end_line": passage.end_line,
        "kind": result.chunk.kind,
        "title": passage.title,
        "text": passage.text,
    }
