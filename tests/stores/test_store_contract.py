"""What every store must do, run over each of them."""

from __future__ import annotations

import numpy as np
import pytest
from store_samples import DIMENSIONS, SETTINGS, SPACE, item, sha, signs

from embedwell.core.errors import BadVectorError, QueryError, StoreBusyError, StoreError
from embedwell.stores.protocol import Filter, Stat, Store

ALL = Filter()


def keys(store: Store, found) -> list[str]:
    return [chunk.key for chunk in store.chunks(found.ids.tolist())]


def test_settings_come_back(store: Store):
    assert store.settings == SETTINGS
    assert store.settings.space.id == SPACE.id


def test_the_length_of_chunks_can_be_changed(store: Store):
    store.set_chunk_tokens(99)
    assert store.settings.chunk_tokens == 99
    assert store.settings.space == SPACE


def test_an_empty_store_finds_nothing(store: Store):
    assert len(store.nearest(signs(0), 5, ALL).ids) == 0
    assert len(store.matching("anything", 5, ALL).ids) == 0
    assert store.stats() == {}
    assert store.known_vectors([sha("a")]) == {}
    assert (store.counts().documents, store.counts().chunks) == (0, 0)
    assert store.check() == []


def test_a_chunk_comes_back_as_it_was_put(store: Store):
    given = item(
        "a/b.py",
        ["un café\0 😀"],
        title="Top > f",
        kind="code",
        language="python",
        metadata={"n": 1.5, "tags": ["x"], "deep": {"é": None}},
    )
    store.put([given])
    (found,) = store.chunks(store.nearest(signs(1), 1, ALL).ids.tolist())
    assert found.chunk == given.chunks[0]
    assert (found.key, found.kind, found.language) == ("a/b.py", "code", "python")
    assert dict(found.metadata) == dict(given.document.metadata)


def test_the_passages_of_a_document_come_in_their_order(store: Store):
    store.put([item("a", ["one"]), item("b", ["two", "three", "four"]), item("c", ["five"])])
    assert [found.chunk.text for found in store.passages("b")] == ["two", "three", "four"]
    assert {found.key for found in store.passages("b")} == {"b"}
    assert store.passages("nowhere") == []


def test_stats_are_of_files_not_of_records(store: Store):
    store.put([item("file", ["text"]), item("record", ["text"], is_record=True)])
    assert store.stats() == {"file": Stat(4, 7)}


def test_records_are_listed_by_key(store: Store):
    store.put([item("b", ["1"], is_record=True), item("file", ["2"])])
    store.put([item("a", ["3"], is_record=True)])
    assert store.records() == ["a", "b"]


def test_touch_renews_size_and_time_only(store: Store):
    store.put([item("file", ["text"]), item("record", ["text"], is_record=True)])
    store.touch({"file": Stat(9, 8), "record": Stat(1, 1), "gone": Stat(1, 1)})
    assert store.stats() == {"file": Stat(9, 8)}
    assert store.counts().documents == 2


def test_put_replaces_the_whole_document(store: Store):
    store.put([item("a", ["alpha one", "alpha two"])])
    store.put([item("a", ["beta"])])
    assert store.counts().chunks == 1
    assert len(store.matching("alpha", 5, ALL).ids) == 0
    assert keys(store, store.matching("beta", 5, ALL)) == ["a"]


def test_the_last_of_two_documents_with_one_key_stays(store: Store):
    store.put([item("a", ["alpha"]), item("a", ["beta"])])
    assert store.counts().documents == 1
    assert len(store.matching("alpha", 5, ALL).ids) == 0


def test_ids_are_never_reused(store: Store):
    store.put([item("a", ["alpha"])])
    first = store.matching("alpha", 1, ALL).ids[0]
    store.delete(["a"])
    store.put([item("a", ["alpha"])])
    assert store.matching("alpha", 1, ALL).ids[0] > first
    assert store.chunks([int(first)]) == []


def test_a_document_without_chunks_is_known(store: Store):
    store.put([item("empty", [])])
    assert set(store.stats()) == {"empty"}
    assert store.delete(["empty"]) == 1


def test_delete_counts_what_was_there(store: Store):
    store.put([item("a", ["alpha"]), item("b", ["beta"])])
    assert store.delete(["a", "a", "nobody"]) == 1
    assert keys(store, store.nearest(signs(4), 5, ALL)) == ["b"]


def test_known_vectors_are_those_put(store: Store):
    store.put([item("a", ["alpha"], [signs(1)])])
    known = store.known_vectors([sha("alpha"), sha("other")])
    assert set(known) == {sha("alpha")}
    assert known[sha("alpha")].dtype == np.float32
    np.testing.assert_array_equal(known[sha("alpha")], signs(1))


def test_nearest_is_ordered_and_ties_come_by_id(store: Store):
    near, far = signs(1), -signs(1)
    store.put([item("a", ["1", "2", "3", "4"], [far, near, near, near])])
    found = store.nearest(near, 3, ALL)
    assert (np.diff(found.ids) > 0).all()
    np.testing.assert_allclose(found.scores, 1)
    assert store.nearest(near, 9, ALL).scores[-1] == -1


def test_similarities_agree_with_nearest(store: Store):
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((50, DIMENSIONS)).astype(np.float32)
    store.put([item("a", [f"w{n}" for n in range(50)], list(rows))])
    query = rows[7] / np.linalg.norm(rows[7])
    found = store.nearest(query, 20, ALL)
    np.testing.assert_allclose(store.similarities(query, found.ids), found.scores, atol=2e-6)
    assert found.scores[0] > 0.999


def test_vectors_of_any_length_are_compared_by_cosine(store: Store):
    store.put([item("a", ["1"], [1000 * signs(1)]), item("b", ["2"], [0.01 * signs(1)])])
    np.testing.assert_allclose(store.nearest(5 * signs(1), 2, ALL).scores, 1, atol=1e-6)


@pytest.mark.parametrize(
    "vector",
    [np.zeros(DIMENSIONS), np.full(DIMENSIONS, np.nan), np.full(DIMENSIONS, np.inf), np.ones(3)],
    ids=["zero", "nan", "infinite", "short"],
)
def test_bad_vectors_never_enter_or_ask(store: Store, vector):
    vector = vector.astype(np.float32)
    store.put([item("a", ["alpha"])])
    whole = item("b", ["beta"])
    bad = type(whole)(whole.document, whole.chunks, vector[None])
    with pytest.raises(BadVectorError):
        store.put([item("c", ["gamma"]), bad])
    assert set(store.stats()) == {"a"}
    with pytest.raises(BadVectorError):
        store.nearest(vector, 1, ALL)
    with pytest.raises(BadVectorError):
        store.similarities(vector, np.array([1]))


def test_each_chunk_has_one_vector(store: Store):
    whole = item("a", ["alpha", "beta"])
    with pytest.raises(BadVectorError, match="2 chunks and 1 vectors"):
        store.put([type(whole)(whole.document, whole.chunks, whole.vectors[:1])])
    assert store.stats() == {}


def test_warming_changes_nothing_that_is_found(store: Store):
    store.warm()
    store.put([item("a", ["alpha"])])
    store.warm()
    assert keys(store, store.nearest(signs(5), 9, ALL)) == ["a"]


def test_similarities_of_unknown_ids_are_refused(store: Store):
    store.put([item("a", ["alpha"])])
    with pytest.raises(StoreError):
        store.similarities(signs(1), np.array([999]))


def test_bm25_prefers_rare_words_and_short_passages(store: Store):
    store.put(
        [item(f"filler{n}", ["common words all over"]) for n in range(8)]
        + [item("rare", ["common zebra"]), item("long", ["common zebra" + " filler" * 30])]
    )
    assert keys(store, store.matching("zebra common", 2, ALL)) == ["rare", "long"]


def test_match_scores_agree_with_matching_and_are_zero_elsewhere(store: Store):
    store.put([item("a", ["alpha beta"]), item("b", ["beta"]), item("c", ["gamma"])])
    found = store.matching("alpha beta", 9, ALL)
    assert len(found.ids) == 2
    again = store.match_scores("alpha beta", found.ids)
    np.testing.assert_allclose(again, found.scores, rtol=1e-4, atol=2e-6)
    other = np.setdiff1d(store.nearest(signs(1), 9, ALL).ids, found.ids)
    np.testing.assert_array_equal(store.match_scores("alpha beta", other), [0])
    np.testing.assert_array_equal(store.match_scores("nothing", found.ids), [0, 0])


@pytest.mark.parametrize("query", ["parse config", "parseConfig", "PARSE", "parse_config"])
def test_names_are_found_by_their_words(store: Store, query):
    store.put([item("a", ["def parseConfig(path):"]), item("b", ["other"])])
    assert keys(store, store.matching(query, 5, ALL)) == ["a"]


def test_title_and_path_are_searched_too(store: Store):
    store.put([item("src/lexer.py", ["body"], title="Grammar > Rules"), item("b", ["other"])])
    assert keys(store, store.matching("grammar", 5, ALL)) == ["src/lexer.py"]
    assert keys(store, store.matching("lexer", 5, ALL)) == ["src/lexer.py"]


@pytest.mark.parametrize("query", ["deja", "Déjà", "DE\u0301JA\u0300"])
def test_accents_and_case_do_not_matter(store: Store, query):
    store.put([item("a", ["déjà vu"]), item("b", ["other"])])
    assert keys(store, store.matching(query, 5, ALL)) == ["a"]


@pytest.mark.parametrize(
    "query",
    ['"', "a AND", "NEAR(", "title:x", "alpha*", "^", "-", "(((", "😀", "\0", "…", "a\0b", "'; --"],
)
def test_no_query_is_syntax(store: Store, query):
    store.put([item("a", ["alpha"])])
    store.matching(query, 5, ALL)


def test_a_query_of_a_whole_book_is_searched(store: Store):
    store.put([item("a", ["alpha"])])
    query = "alpha " + " ".join(f"word{n}" for n in range(20_000))
    assert keys(store, store.matching(query, 5, ALL)) == ["a"]


FILTERED = [
    item("src/a.py", ["alpha"], kind="code", language="python", metadata={"n": 1, "ok": True}),
    item("src/deep/b.py", ["alpha"], kind="code", language="python", metadata={"n": 1.0}),
    item("docs/c.md", ["alpha"], metadata={"n": 2, "tags": ["x", "y"]}),
    item("d.md", ["alpha"], metadata={"n": "1", "none": None}),
]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Filter(path="src/*"), ["src/a.py"]),
        (Filter(path="src/**"), ["src/a.py", "src/deep/b.py"]),
        (Filter(path="*.md"), ["docs/c.md", "d.md"]),
        (Filter(path="**/b.?y"), ["src/deep/b.py"]),
        (Filter(path="[!d].md"), ["docs/c.md"]),
        (Filter(language="python"), ["src/a.py", "src/deep/b.py"]),
        (Filter(kind="text"), ["docs/c.md", "d.md"]),
        (Filter(metadata={"n": 1}), ["src/a.py", "src/deep/b.py"]),
        (Filter(metadata={"n": "1"}), ["d.md"]),
        (Filter(metadata={"ok": True}), ["src/a.py"]),
        (Filter(metadata={"ok": 1}), []),
        (Filter(metadata={"none": None}), ["d.md"]),
        (Filter(metadata={"tags": ["x", "y"]}), ["docs/c.md"]),
        (Filter(path="src/**", metadata={"n": 1, "ok": True}), ["src/a.py"]),
        (Filter(language="none"), []),
    ],
    ids=str,
)
def test_filters_hold_inside_both_halves(store: Store, where, expected):
    store.put(FILTERED)
    assert sorted(keys(store, store.nearest(signs(1), 9, where))) == sorted(expected)
    assert sorted(keys(store, store.matching("alpha", 9, where))) == sorted(expected)
    # Inside, not after: one result is found however many better ones the filter hides.
    assert len(store.nearest(signs(1), 1, where).ids) == min(1, len(expected))


@pytest.mark.parametrize(
    "where", [Filter(metadata={"x": object()}), Filter(metadata={"x": {1, 2}})]
)
def test_a_filter_that_cannot_be_applied_is_refused(store: Store, where):
    store.put(FILTERED)
    with pytest.raises(QueryError, match="filter"):
        store.nearest(signs(1), 1, where)


def test_metadata_that_is_not_json_is_refused_and_nothing_kept(store: Store):
    with pytest.raises(StoreError, match="not JSON"):
        store.put([item("a", ["alpha"]), item("b", ["beta"], metadata={"x": object()})])
    assert store.stats() == {}


def test_one_long_writer_at_a_time(store: Store):
    with store.writing():
        store.put([item("a", ["alpha"])])
        with pytest.raises(StoreBusyError), store.writing():
            pass
    with store.writing():
        store.delete(["a"])


def test_reads_work_inside_a_snapshot(store: Store):
    store.put([item("a", ["alpha"])])
    with store.snapshot():
        found = store.nearest(signs(1), 1, ALL)
        with store.snapshot():
            assert keys(store, found) == ["a"]
    store.put([item("b", ["beta"])])
    assert store.counts().documents == 2


def test_chunks_come_in_the_order_asked_for(store: Store):
    store.put([item("a", ["1", "2", "3"])])
    ids = store.nearest(signs(1), 3, ALL).ids.tolist()
    asked = [ids[2], 10_000, ids[0], ids[1]]
    assert [chunk.id for chunk in store.chunks(asked)] == [ids[2], ids[0], ids[1]]
