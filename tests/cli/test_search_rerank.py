from __future__ import annotations

import pytest
from tiny_reranker import tiny_reranker

from embedwell.models.artifacts import ArtifactStore


@pytest.fixture
def reranker(tmp_path, monkeypatch):
    """A tiny model in the place of every reranker."""
    artifact, find = tiny_reranker(tmp_path / "tiny"), ArtifactStore.find

    def found(store, card, *others):
        return artifact if card.head == "rerank" else find(store, card, *others)

    monkeypatch.setattr(ArtifactStore, "find", found)


def test_a_search_is_reranked_by_the_model_that_is_named_or_the_small_one(indexed, reranker, run):
    plain = run("search", "a broken drive", "--json").json["results"]
    for words in (["--rerank"], ["--rerank", "bge-reranker-base"]):
        ran = run("search", "a broken drive", "--json", *words)
        assert ran.code == 0
        results = ran.json["results"]
        assert {result["path"] for result in results} == {result["path"] for result in plain}
        scores = [result["score"] for result in results]
        assert scores == sorted(scores, reverse=True)
        assert scores != [result["score"] for result in plain]


def test_a_model_of_vectors_does_not_rerank(indexed, run):
    ran = run("search", "a broken drive", "--rerank", "all-MiniLM-L6-v2")
    assert ran.code == 1
    assert "'all-MiniLM-L6-v2' gives vectors" in ran.err


def test_a_reranker_does_not_index(folder, real_cache, run):
    ran = run("index", "--model", "ms-marco-MiniLM-L6-v2")
    assert ran.code == 1
    assert "scores pairs of texts" in ran.err


def test_a_query_is_not_taken_for_the_model(indexed, run):
    ran = run("search", "--rerank", "a broken drive")
    assert ran.code == 2
    assert "after the query" in ran.err
