import math

import numpy as np
import pytest
from benchmarks.metrics import (
    cosines,
    ndcg,
    recall,
    reciprocal_rank,
    reciprocal_rank_fusion,
    spearman,
)
from hypothesis import given
from hypothesis import strategies as st

RANKED = ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ({"a"}, 1.0),
        ({"b"}, 1 / math.log2(3)),
        ({"a", "b"}, 1.0),
        ({"a", "c"}, (1 + 1 / 2) / (1 + 1 / math.log2(3))),
        ({"x"}, 0.0),
    ],
)
def test_ndcg_discounts_by_rank_and_is_one_for_the_ideal_order(right, expected):
    assert ndcg(RANKED, right) == pytest.approx(expected)


def test_only_the_first_k_count():
    assert ndcg(RANKED, {"c"}, k=2) == 0
    assert recall(RANKED, {"a", "c"}, k=2) == 0.5
    assert reciprocal_rank(RANKED, {"c"}, k=2) == 0
    assert reciprocal_rank(RANKED, {"c", "d"}) == pytest.approx(1 / 3)


@given(st.permutations(list("abcdefghijkl")), st.sets(st.sampled_from("abcdefghijkl"), min_size=1))
def test_ndcg_lies_between_zero_and_one(ranked, right):
    assert 0 <= ndcg(ranked, right) <= 1


def test_fusion_of_ranks_prefers_what_both_lists_name():
    fused = reciprocal_rank_fusion([["a", "b"], ["c", "b"]], k=10)
    assert fused[0] == "b"
    assert set(fused) == {"a", "b", "c"}


def test_spearman_is_about_order_and_gives_equal_values_their_mean_rank():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert spearman(values, np.exp(values)) == pytest.approx(1)
    assert spearman(values, -values) == pytest.approx(-1)
    # ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: worked by hand
    assert spearman(np.array([1.0, 2.0, 2.0, 3.0]), values) == pytest.approx(4.5 / math.sqrt(22.5))


def test_cosines_go_row_by_row_whatever_the_lengths():
    a = np.array([[2, 0], [0, 3]], np.float32)
    b = np.array([[5, 0], [1, 0]], np.float32)
    assert cosines(a, b) == pytest.approx([1, 0])
