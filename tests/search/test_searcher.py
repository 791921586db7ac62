"""From a question to ranked chunks."""

from __future__ import annotations

import json

import numpy as np
import pytest

from embedwell.core.errors import (
    BadVectorError,
    EmbeddingsOffError,
    OverBudgetError,
    PressureError,
    QueryError,
    SpaceMovedError,
)
from embedwell.core.space import Space
from embedwell.search.results import as_json
from embedwell.search.searcher import QueryVector, Searcher
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.protocol import (
    CodeSpace,
    CollectionSettings,
    Document,
    DocumentChunks,
    Filter,
    StoredChunk,
)
from embedwell.stores.spaces import CODE_ALONE, Reference
from embedwell.testing import FAKE_BUILD

SPACE = Space("tiny", "1", "mean", True, "", "", 32, 2)
TEXTS = {
    "cat.md": ("a small feline", 0.1),
    "dog.md": ("a loyal hound", 0.5),
    "zebra.md": ("the zebra word", 1.4),
    "far.md": ("something else", 1.5),
}


def at(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


@pytest.fixture
def searcher() -> Searcher:
    store = MemoryStore(CollectionSettings(SPACE, 20))
    store.put(
        [
            DocumentChunks(
                Document(key, 1, 1, "", "text", "markdown"),
                [StoredChunk(0, len(text), 3, 4, "Top", text, "")],
                at(angle)[None],
            )
            for key, (text, angle) in TEXTS.items()
        ]
    )
    return Searcher(store, lambda *_: [QueryVector(at(0.0), store.spaces.main().number)])


def keys(found) -> list[str]:
    return [result.chunk.key for result in found.results]


def test_a_pair_that_was_made_after_the_query_was_embedded_is_noticed(searcher: Searcher):
    store = searcher._store
    code = store.spaces.add(SPACE, "next", "", holds=CODE_ALONE).number
    store.spaces.switch(code, keep=False)
    assert searcher.search("zebra").results
    store.spaces.split()
    with pytest.raises(SpaceMovedError, match="given text or code to another space"):
        searcher.search("zebra")
    assert searcher.search("zebra", where=Filter(kind="text")).results
    told = [QueryVector(at(0.0), store.spaces.main().number, "no code today")]
    assert Searcher(store, lambda *_: told).search("zebra").notice == "no code today"


def test_what_no_asked_space_holds_is_ranked_by_its_words():
    store = MemoryStore(CollectionSettings(SPACE, 20, "", CodeSpace(SPACE)))
    store.spaces.refer(store.spaces.main().number, Reference("probes", at(1.4)[None], FAKE_BUILD))
    words = {"a.md": "a quiet place", "b.md": "some more of it", "c.md": "the last one"}
    for key, text in (words | {"zebra.py": "def zebra"}).items():
        is_code = key == "zebra.py"
        document = Document(key, 1, 1, "", "code" if is_code else "text", "")
        vectors = [at(1.39)[None], np.empty((0, 2), np.float32)]
        main, code = reversed(vectors) if is_code else vectors
        chunks = [StoredChunk(0, len(text), 1, 1, "", text, "")]
        store.put([DocumentChunks(document, chunks, main, code if is_code else None)])
    told = [QueryVector(at(0.0), store.spaces.main().number, "the code model does not fit")]
    found = Searcher(store, lambda *_: told).search("zebra")
    assert keys(found)[0] == "zebra.py"
    assert [result.similarity is None for result in found.results] == [True, False, False, False]


def test_semantic_results_come_by_cosine(searcher: Searcher):
    found = searcher.search("zebra", mode="semantic")
    assert keys(found) == ["cat.md", "dog.md", "zebra.md", "far.md"]
    first = found.results[0]
    assert (first.rank, first.bm25) == (1, None)
    assert first.score == first.similarity == pytest.approx(np.cos(0.1), abs=1e-3)


def test_lexical_results_have_a_word_and_need_no_embedder(searcher: Searcher):
    searcher._embed_query = lambda *_: 1 / 0
    found = searcher.search("zebra hound", k=5, mode="lexical")
    assert sorted(keys(found)) == ["dog.md", "zebra.md"]
    assert found.embed_ms == found.load_ms == 0
    assert found.results[0].similarity is None
    assert found.results[0].score == found.results[0].bm25


def test_hybrid_results_know_both_scores_of_every_passage(searcher: Searcher):
    found = searcher.search("zebra", k=3)
    assert len(found.results) == 3
    assert [result.rank for result in found.results] == [1, 2, 3]
    scores = [result.score for result in found.results]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert {result.bm25 > 0 for result in found.results if result.chunk.key != "zebra.md"} == {
        False
    }
    assert found.space == SPACE.id
    assert found.took_ms >= found.embed_ms + found.load_ms >= 0


def test_filters_reach_both_halves(searcher: Searcher):
    assert keys(searcher.search("zebra", where=Filter(path="f*.md"))) == ["far.md"]
    assert keys(searcher.search("zebra", where=Filter(language="go"))) == []


@pytest.mark.parametrize("query", ["😀", "?!", "\0", '"', "zebra OR", "word " * 50_000, "\ud800 x"])
@pytest.mark.parametrize("mode", ["hybrid", "semantic", "lexical"])
def test_any_text_is_a_query(searcher: Searcher, query, mode):
    found = searcher.search(query, mode=mode)
    assert found.query == query
    if mode != "lexical":
        assert len(found.results) == 4


@pytest.mark.parametrize("query", ["", "  ", "\n\t"])
def test_a_blank_query_is_refused(searcher: Searcher, query):
    with pytest.raises(QueryError, match="empty"):
        searcher.search(query)


def test_no_results_cannot_be_asked_for(searcher: Searcher):
    with pytest.raises(QueryError, match="at least 1"):
        searcher.search("zebra", k=0)


def test_an_unknown_mode_is_refused(searcher: Searcher):
    with pytest.raises(QueryError, match="hybrid, semantic, lexical"):
        searcher.search("zebra", mode="magic")  # type: ignore[arg-type]


def test_a_broken_embedder_is_an_error_not_an_empty_answer(searcher: Searcher):
    nothing = np.full(2, np.nan, np.float32)
    searcher._embed_query = lambda *_: [QueryVector(nothing, 1)]
    with pytest.raises(BadVectorError):
        searcher.search("zebra")


def test_more_results_than_candidates_can_be_asked_for(searcher: Searcher):
    assert len(searcher.search("zebra", k=1000).results) == 4


def test_json_is_as_documented(searcher: Searcher):
    form = json.loads(json.dumps(as_json(searcher.search("zebra", k=1, mode="lexical"))))
    assert form["took_ms"] >= 0
    score = form["results"][0].pop("score")
    assert score > 0
    assert form == {
        "query": "zebra",
        "mode": "lexical",
        "space": SPACE.id,
        "took_ms": form["took_ms"],
        "results": [
            {
                "rank": 1,
                "id": 3,
                "path": "zebra.md",
                "start_line": 3,
                "end_line": 4,
                "kind": "text",
                "title": "Top",
                "text": "the zebra word",
            }
        ],
    }


def fails(error):
    def embed(query, where):
        raise error

    return embed


@pytest.mark.parametrize("kind", [EmbeddingsOffError, PressureError])
def test_without_a_model_a_hybrid_search_is_one_by_words_and_says_so(searcher: Searcher, kind):
    by_words = searcher.search("zebra hound", mode="lexical")
    searcher._embed_query = fails(kind("No model may run.", "Switch it on."))
    found = searcher.search("zebra hound")
    assert keys(found) == keys(by_words)
    assert found.mode == "lexical"
    assert found.notice == "Searched by words only: No model may run."
    assert as_json(found)["notice"] == found.notice
    assert "notice" not in as_json(by_words)
    with pytest.raises(kind, match="Switch it on"):
        searcher.search("zebra", mode="semantic")


def test_other_faults_of_the_embedder_are_errors(searcher: Searcher):
    searcher._embed_query = fails(OverBudgetError("It is too large.", "Raise the budget."))
    with pytest.raises(OverBudgetError):
        searcher.search("zebra")
