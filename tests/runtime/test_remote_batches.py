"""Texts in requests that a server takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.core.errors import RemoteAnswerError, RemoteRefusedError, RemoteSlowError
from embedwell.runtime.remote_batches import Pace, embed_part, end_of_batch
from embedwell.runtime.word_tokens import estimated_starts

KINDS = st.sampled_from(["good", "bad", "long", "zero"])


def refused(said):
    return RemoteRefusedError("refused", "mend it", said, is_of_texts=True)


def vector(text):
    return [float(len(text)), float(text.count("o")) + 1.0]


class Strict:
    """Takes few texts at once, no bad ones, and long ones only when it may cut them."""

    def __init__(self, most, longest, *, cuts):
        self.most, self.longest, self.cuts = most, longest, cuts
        self.sizes = []

    def __call__(self, texts, *, cut):
        self.sizes.append(len(texts))
        if len(texts) > self.most:
            raise refused("batch size exceeds the maximum")
        if any("bad" in text for text in texts):
            raise refused("not this one")
        if any(len(text) > self.longest for text in texts) and not (cut and self.cuts):
            raise refused("too long")
        kept = [text[: self.longest] for text in texts]
        rows = [[0.0, 0.0] if "zero" in text else vector(text) for text in kept]
        return np.array(rows, np.float32).reshape(len(texts), 2)


@given(st.lists(KINDS, min_size=1, max_size=20), st.integers(1, 9), st.booleans())
def test_every_text_gets_its_own_vector_or_its_own_reason(kinds, most, cuts):
    texts = [f"{kind} {n}{'o' * 60 * (kind == 'long')}" for n, kind in enumerate(kinds)]
    send = Strict(most, 40, cuts=cuts)
    part = embed_part(texts, send, Pace(), cuts=cuts)
    failed = {n for n, kind in enumerate(kinds) if kind in {"bad", "zero"}}
    assert set(part.failures) == failed
    assert part.cut == {n for n, kind in enumerate(kinds) if kind == "long"}
    for n, kind in enumerate(kinds):
        if kind == "good":
            assert part.vectors[n].tolist() == vector(texts[n])
        if kind == "long":
            assert 0.6 * 40 < part.vectors[n][0] <= 40
        if n in failed:
            assert np.isnan(part.vectors[n]).all()


@given(st.lists(st.integers(0, 300_000), max_size=30), st.integers(1, 8))
def test_batches_cover_all_texts_within_both_limits(lengths, n):
    texts = ["x" * length for length in lengths]
    begin = 0
    while begin < len(texts):
        end = end_of_batch(texts, begin, n)
        assert begin < end <= begin + n
        assert end == begin + 1 or sum(lengths[begin:end]) <= 200_000
        begin = end


def test_requests_grow_while_they_are_quick_and_shrink_when_they_are_slow():
    pace = Pace()
    for expected in (64, 128, 256, 256):
        pace.took(pace.n, 0.1)
        assert pace.n == expected
    pace.took(256, 7.0)
    assert pace.n == 128
    pace.took(3, 0.1)  # the last of a call says nothing
    assert pace.n == 128
    pace.limit(10)
    assert (pace.n, pace.most) == (10, 10)
    pace.took(1, 60.0)
    assert pace.n == 1


def test_a_server_that_refuses_everything_is_not_taken_for_bad_texts():
    def refuse_all(texts, *, cut):
        raise refused("gone mad")

    with pytest.raises(RemoteAnswerError, match="refuses every text now"):
        embed_part(["a", "b"], refuse_all, Pace(), cuts=True)


@pytest.mark.parametrize("n", [1, 3])
def test_a_refusal_that_is_not_of_the_texts_goes_up(n):
    def refuse_key(texts, *, cut):
        raise RemoteRefusedError("a", "b", "bad key")

    with pytest.raises(RemoteRefusedError, match="a b"):
        embed_part(["a"] * n, refuse_key, Pace(), cuts=True)


def test_one_text_that_is_too_slow_is_an_error():
    def slow(texts, *, cut):
        raise RemoteSlowError("slow", "wait")

    with pytest.raises(RemoteSlowError):
        embed_part(["a", "b"], slow, Pace(), cuts=True)


@given(st.text())
def test_estimated_tokens_stand_on_what_is_no_space_in_order(text):
    starts = estimated_starts(text).tolist()
    assert starts == sorted(starts)
    assert not any(text[start].isspace() for start in starts)
    assert len(starts) <= 2 * len(text)
