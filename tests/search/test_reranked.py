from __future__ import annotations

import pytest

from embedwell.core.events import Watch
from embedwell.search.rerank import CANDIDATES, reranked
from embedwell.search.results import SearchResult, SearchResults
from embedwell.stores.protocol import FoundChunk, StoredChunk
from embedwell.testing import FakeReranker


def found_of(texts, title=""):
    """A search that finds these texts in their order."""

    def search(k: int) -> SearchResults:
        results = tuple(
            SearchResult(at + 1, 1 - at / 100, 0.5, 2.0, _chunk(at, text, title))
            for at, text in enumerate(texts[:k])
        )
        return SearchResults("blue whale", "hybrid", "space", 1.0, 0.0, 0.0, results, "a notice")

    return search


def _chunk(at: int, text: str, title: str) -> FoundChunk:
    stored = StoredChunk(0, len(text), 1, 1, title, text, "0" * 64)
    return FoundChunk(at, f"{at}.md", "text", "", {}, stored)


def test_the_best_of_many_are_in_the_order_of_the_reranker():
    texts = ["a red fox", "the blue sea", "a blue whale", "a whale", "nothing"]
    found = reranked(found_of(texts), FakeReranker(), 3, Watch())
    assert [result.chunk.chunk.text for result in found.results] == [texts[2], texts[1], texts[3]]
    assert [result.rank for result in found.results] == [1, 2, 3]
    assert [result.score for result in found.results] == [1.0, 0.5, 0.5]
    assert {(result.similarity, result.bm25) for result in found.results} == {(0.5, 2.0)}
    assert (found.mode, found.notice) == ("hybrid", "a notice")
    assert found.took_ms > 0


def test_more_than_is_wanted_is_read_again():
    texts = ["nothing"] * (CANDIDATES - 1) + ["blue whale", "blue whale"]
    reranker = FakeReranker()
    found = reranked(found_of(texts), reranker, 1, Watch())
    assert found.results[0].chunk.id == CANDIDATES - 1
    assert len(reranker.seen) == CANDIDATES
    assert len(reranked(found_of(texts), FakeReranker(), 51, Watch()).results) == 51


def test_titles_are_read_too():
    reranker = FakeReranker()
    reranked(found_of(["it sings"], title="Whales > blue"), reranker, 1, Watch())
    ((query, text),) = reranker.seen
    assert query == "blue whale"
    assert "Whales > blue" in text
    assert "it sings" in text


def test_nothing_found_asks_no_model():
    reranker = FakeReranker()
    assert reranked(found_of([]), reranker, 5, Watch()).results == ()
    assert not reranker.seen


@pytest.mark.parametrize("k", [0, -1])
def test_how_many_are_wanted_is_checked_by_the_search(k):
    asked = []

    def search(k: int) -> SearchResults:
        asked.append(k)
        return found_of([])(1)

    reranked(search, FakeReranker(), k, Watch())
    assert asked == [k]
