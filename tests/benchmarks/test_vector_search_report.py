import numpy as np
import pytest
from benchmarks.realistic import answers, changes, extended, nearest, pieces, recall
from benchmarks.targets import verdicts
from benchmarks.vector_search import NATIVE, NUMPY, SYSTEMS, scored
from benchmarks.vector_search_section import vector_search


def clustered(n):
    rows = np.random.default_rng(3).standard_normal((n, 16)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_made_vectors_have_unit_length_and_begin_with_the_real_ones():
    base = clustered(50)
    made = np.concatenate(list(extended(base, 300)))
    assert made.shape == (300, 16)
    np.testing.assert_array_equal(made[:50], base.astype(np.float16))
    np.testing.assert_allclose(np.linalg.norm(made.astype(np.float32), axis=1), 1, atol=2e-3)


def test_answers_are_exact_and_keep_to_filters_and_changes():
    rows, questions = clustered(400).astype(np.float16), clustered(5)
    new = clustered(40).astype(np.float16)
    groups = (np.arange(400) % 20).astype(np.uint8)
    found = answers(rows, new, groups, questions)
    scores = questions @ rows.astype(np.float32).T
    assert found["all"][0][0] == scores[0].argmax()
    assert {row % 20 < 10 for row in found["10 %"][0]} == {True}
    replaced, removed = changes(400)
    assert len(replaced) == len(removed) == 20
    assert not set(found["changed"][0]) & {*replaced.tolist(), *removed.tolist()}


def test_long_texts_are_cut_at_words():
    cut = list(pieces("word " * 200))
    assert [len(piece) for piece in cut] == [399, 399, 199]
    assert list(pieces("short")) == []


def test_recall_is_the_share_of_the_true_nearest():
    assert recall([[1, 2], [3, 4]], [[1, 9], [3, 4]]) == pytest.approx(0.75)
    ids, best = nearest(clustered(30), clustered(2), None)
    assert best[0].tolist() == sorted(best[0].tolist(), reverse=True)
    assert scored({"all": {"rows": ids}}, {"all": ids})["all"]["recall"] == 1


def found(system, n, ms, *, filters=True):
    row = {"system": system, "n": n, "rss_mb": 90.0, "server_mb": None, "first_ms": 50.0}
    row |= {"build_s": 2.0, "all": {"p50_ms": ms, "recall": 0.995}}
    if filters:
        row |= {name: {"p50_ms": ms, "recall": 0.992} for name in ("10 %", "1 %", "changed")}
    return row


def test_the_section_and_the_targets_show_what_was_measured():
    rows = [found(NUMPY, 1_000_000, 7), found(NATIVE, 1_000_000, 5)]
    rows.append(found(SYSTEMS[-1].name, 1_000_000, 3, filters=False) | {"server_mb": 500.0})
    made = {"n": 1_000_000, "n_real": 10, "similarity": 0.5, "similarity_real": 0.5}
    part = {"made": [made], "rows": rows, "missing": ["x: it is not there"]}
    text = vector_search(part)
    assert "| 7.00 (0.9950) | 7.00 (0.9920) |" in text
    assert "| 3.00 (0.9950) | - | - | - | 90 (500) | 50 | 2 |" in text
    assert "- Left out: x: it is not there." in text
    met = {v.target.what: v.met for v in verdicts({"vector_search": part}) if v.value is not None}
    assert met["search among 1,000,000 vectors, numpy alone, p50"]
    assert not met["search among 1,000,000 vectors, `embedwell[fast]`, p50"]
    assert met["the same: lowest recall@10, filters and changes too"]
