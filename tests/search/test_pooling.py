"""Cosines of several spaces on one scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.search.pooling import ABSENT, pooled

COSINES = st.floats(-0.99, 1.0)
BACKGROUNDS = st.floats(-0.5, 0.9)


def row(*values):
    return np.array(values, np.float32)


def test_one_space_is_left_as_it_is():
    cosines = row(0.3, 0.2)
    assert pooled([cosines], [0.5]) is cosines


def test_a_space_of_high_cosines_is_brought_to_the_first_ones_scale():
    text, code = row(0.4, ABSENT, ABSENT), row(ABSENT, 0.85, 0.7)
    found = pooled([text, code], [0.0, 0.7])
    np.testing.assert_allclose(found, [0.4, 0.5, 0.0], atol=1e-6)


def test_a_candidate_of_both_spaces_gets_the_mean():
    found = pooled([row(0.4), row(0.85)], [0.0, 0.7])
    assert found[0] == pytest.approx(0.45)


def test_what_no_space_holds_is_as_far_as_can_be():
    assert pooled([row(ABSENT), row(ABSENT)], [0.1, 0.2])[0] == ABSENT


@given(st.lists(COSINES, min_size=2, max_size=9, unique=True), BACKGROUNDS, BACKGROUNDS)
def test_the_order_within_a_space_stays(cosines, first, second):
    absent = np.full(len(cosines), ABSENT, np.float32)
    found = pooled([absent, np.array(cosines, np.float32)], [first, second])
    assert found.dtype == np.float32
    ordered = found[np.argsort(np.array(cosines, np.float32), kind="stable")]
    assert (np.diff(ordered) >= -1e-6).all()
    assert found.max() <= 1 + 1e-6


@given(BACKGROUNDS, BACKGROUNDS)
def test_a_text_and_itself_are_alike_in_every_space(first, second):
    found = pooled([row(ABSENT), row(1.0)], [first, second])
    assert found[0] == pytest.approx(1.0, abs=1e-6)
