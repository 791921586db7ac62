"""How two scores become one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedwell.search.fusion import DEPTH, WEIGHTS, fused, gap, lexical_weight


def row(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_no_candidates_give_no_scores():
    assert len(fused(row(), row())) == 0


def test_without_any_word_the_cosine_decides_alone():
    np.testing.assert_allclose(fused(row(0.2, 0.9, -0.5), row(0, 0, 0)), [0.2, 0.9, 0])


def test_a_passage_that_is_best_in_both_has_the_mean_of_its_cosine_and_1():
    cosines, bm25 = row(0.8, 0.1, 0.1), row(9, 1, 0)
    weight = lexical_weight(cosines, bm25)
    assert fused(cosines, bm25)[0] == pytest.approx((0.8 + weight) / (1 + weight))


def test_words_weigh_more_the_further_their_best_stands_out():
    cosines = row(0.6, 0.5, 0.4)
    weights = [lexical_weight(cosines, row(best, 5, 5)) for best in (5, 10, 20, 40)]
    assert weights == sorted(weights)
    assert weights[-1] > 4 * weights[0]


def test_words_weigh_more_where_the_model_sees_no_difference():
    bm25 = row(20, 5, 0)
    sharp, flat = row(0.8, 0.4, 0.3), row(0.51, 0.5, 0.49)
    assert lexical_weight(flat, bm25) > 5 * lexical_weight(sharp, bm25)
    # The second by words is the first by meaning: which one wins depends on that.
    assert fused(row(0.4, 0.8, 0.3), bm25).argmax() == 1
    assert fused(row(0.5, 0.51, 0.49), bm25).argmax() == 0


def test_the_gap_reaches_to_the_depth_or_the_last():
    assert gap(row(3, 1)) == 2
    assert gap(row(3)) == 0
    assert gap(np.arange(100, dtype=np.float32)) == DEPTH - 1


@given(
    arrays(np.float32, 30, elements=st.floats(-1, 1, width=32)),
    arrays(np.float32, 30, elements=st.floats(0, 60, width=32)),
)
def test_scores_are_in_range_and_grow_with_both_parts(cosines, bm25):
    scores = fused(cosines, bm25)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    assert lexical_weight(cosines, bm25) == 0 or (
        WEIGHTS[0] <= lexical_weight(cosines, bm25) <= WEIGHTS[1]
    )
    for one in range(5):
        better = (cosines > cosines[one]) & (bm25 > bm25[one])
        assert (scores[better] >= scores[one]).all()


@given(
    arrays(np.float32, 30, elements=st.floats(-1, 1, width=32)),
    arrays(np.float32, 30, elements=st.floats(0, 60, width=32)),
    st.permutations(range(30)),
)
def test_the_order_of_candidates_does_not_matter(cosines, bm25, order):
    np.testing.assert_array_equal(fused(cosines, bm25)[order], fused(cosines[order], bm25[order]))
