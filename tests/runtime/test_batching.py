from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embedwell.runtime.batching import pad, plan

lengths = st.lists(st.integers(1, 300), max_size=200).map(np.array)


@given(lengths, st.integers(1, 600))
def test_every_text_is_in_exactly_one_batch(lengths, tokens_per_batch):
    batches = list(plan(lengths, tokens_per_batch))
    positions = np.concatenate([*batches, np.empty(0, int)])
    assert sorted(positions.tolist()) == list(range(len(lengths)))


@given(lengths, st.integers(1, 600))
def test_no_batch_is_over_the_budget_unless_one_text_alone_is(lengths, tokens_per_batch):
    for batch in plan(lengths, tokens_per_batch):
        padded = lengths[batch].max() * len(batch)
        assert padded <= tokens_per_batch or len(batch) == 1


@given(lengths)
def test_batches_hold_texts_of_like_length(lengths):
    longest = [lengths[batch].max() for batch in plan(lengths)]
    assert longest == sorted(longest)


def test_padding_is_masked():
    batch = pad([np.array([7, 8, 9], np.int32), np.array([5], np.int32)])
    assert batch.ids.tolist() == [[7, 8, 9], [5, 0, 0]]
    assert batch.mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.ids.dtype == batch.mask.dtype == np.int64
