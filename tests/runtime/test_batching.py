from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.runtime.batching import choose, is_urgent, pad


@dataclass
class Request:
    lengths: list[int]
    turn: int = 0
    urgent: bool = False
    all_lengths: list[int] = field(init=False)

    def __post_init__(self):
        self.lengths.sort()
        self.all_lengths = list(self.lengths)


def batches(requests, tokens):
    """What runs until nothing waits: lengths by request, for each batch."""
    while requests:
        shares = choose(requests, tokens)
        yield [(requests[s.request], requests[s.request].lengths[s.begin : s.end]) for s in shares]
        for share in shares:
            del requests[share.request].lengths[share.begin : share.end]
        requests = [request for request in requests if request.lengths]


@st.composite
def waiting(draw):
    lengths = draw(st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=60), max_size=8))
    turns = draw(st.permutations(range(len(lengths))))
    return [Request(of, turn, draw(st.booleans())) for of, turn in zip(lengths, turns, strict=True)]


@given(waiting(), st.integers(1, 600))
def test_every_text_runs_once_and_no_batch_is_too_large_unless_one_text_is(requests, tokens):
    ran = {id(request): [] for request in requests}
    for batch in batches(requests, tokens):
        taken = [length for _, lengths in batch for length in lengths]
        assert taken
        assert len(taken) * max(taken) <= tokens or len(taken) == 1
        assert len({request.urgent for request, _ in batch}) == 1
        for request, lengths in batch:
            ran[id(request)] += lengths
    assert all(sorted(ran[id(request)]) == request.all_lengths for request in requests)


@given(waiting(), st.integers(1, 600), st.booleans())
def test_urgent_goes_first_and_then_the_lowest_turn(requests, tokens, due):
    if not requests:
        return
    first = requests[choose(requests, tokens, bulk_is_due=due)[0].request]
    kinds = {request.urgent for request in requests}
    assert first.urgent == (kinds == {True} if due else True in kinds)
    assert first.turn == min(r.turn for r in requests if r.urgent == first.urgent)


def test_queries_share_a_batch_and_leave_bulk_out_of_it():
    requests = [Request([8] * 500, 0), Request([8], 1, urgent=True), Request([12], 2, urgent=True)]
    assert [share.request for share in choose(requests, 256)] == [1, 2]


def test_a_batch_of_bulk_is_filled_with_texts_of_others():
    requests = [Request([128], 0), Request([20, 120, 200], 1), Request([130], 2)]
    shares = choose(requests, 260)
    assert [(share.request, share.begin, share.end) for share in shares] == [(0, 0, 1), (1, 1, 2)]


def test_a_short_text_does_not_run_in_a_long_batch():
    assert [sorted(ls) for b in batches([Request([8, 128])], 256) for _, ls in b] == [[8], [128]]


def test_urgent_is_what_fits_one_batch():
    assert is_urgent([8, 16], 32)
    assert not is_urgent([8, 17], 32)


@pytest.mark.parametrize("n_requests", [1, 10])
def test_the_choice_among_many_texts_looks_at_few(n_requests):
    class Counting(list):
        n_read = 0

        def __getitem__(self, at):
            Counting.n_read += 1
            return super().__getitem__(at)

    requests = [Request([5 + i // 100 for i in range(10_000)], t) for t in range(n_requests)]
    for request in requests:
        request.lengths = Counting(request.lengths)
    choose(requests, 256)
    assert Counting.n_read < 300 * n_requests


def test_padding_is_masked():
    batch = pad([np.array([7, 8, 9], np.int32), np.array([5], np.int32)])
    assert batch.ids.tolist() == [[7, 8, 9], [5, 0, 0]]
    assert batch.mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.ids.dtype == batch.mask.dtype == np.int64
