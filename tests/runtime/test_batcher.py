from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedwell.core.errors import EngineError, EngineMemoryError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.runtime.batcher import Batcher

BAD, NAN, HUGE = 9_000, 9_001, 9_002


def text(value, length=8):
    return np.full(length, value, np.int32)


class Model:
    """Gives each text its own first token, one batch at a time; or breaks as its texts say."""

    def __init__(self, most=10**9):
        self.most = most  # texts that there is memory for
        self.batches = []
        self.gate = threading.Event()  # batches wait for it
        self.gate.set()
        self.busy = threading.Lock()
        self.n_started = threading.Semaphore(0)

    def __call__(self, ids):
        assert self.busy.acquire(blocking=False), "two batches at once"
        try:
            self.n_started.release()
            assert self.gate.wait(10)
            values = [int(row[0]) for row in ids]
            self.batches.append(values)
            if len(ids) > self.most or HUGE in values:
                raise EngineMemoryError("No memory.", "Give it some.")
            if BAD in values:
                raise EngineError("It broke.", "Mend it.")
            return np.array([[np.nan if v == NAN else v] * 2 for v in values], np.float32)
        finally:
            self.busy.release()


def batcher(model, tokens=64):
    return Batcher(model, lambda: tokens, "model@q8")


def run(batcher, ids, watch=None):
    rows = np.zeros((len(ids), 2), np.float32)
    return batcher.run(ids, rows, watch or Watch()), rows


@pytest.fixture
def threads():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def waits(batcher, n_requests):
    """Until so many requests wait behind the running batch."""
    until = time.monotonic() + 10
    while len(batcher._waiting) < n_requests:
        assert time.monotonic() < until
        time.sleep(0.001)


def test_no_texts_run_nothing():
    model = Model()
    assert run(batcher(model), [])[0] == {}
    assert model.batches == []


def test_a_request_of_any_size_gets_its_rows_in_order():
    model = Model()
    failures, rows = run(batcher(model), [text(i, 1 + i % 40) for i in range(300)])
    assert failures == {}
    assert rows[:, 0].tolist() == list(range(300))


def test_texts_of_several_threads_share_a_batch(threads):
    model = Model()
    shared = batcher(model)
    model.gate.clear()
    first = threads.submit(run, shared, [text(0)])
    model.n_started.acquire()
    others = [threads.submit(run, shared, [text(i)]) for i in range(1, 7)]
    waits(shared, 6)
    model.gate.set()
    assert first.result()[1][0, 0] == 0
    assert [other.result()[1][0, 0] for other in others] == list(range(1, 7))
    assert [sorted(batch) for batch in model.batches] == [[0], [1, 2, 3, 4, 5, 6]]


def test_a_query_runs_before_the_rest_of_bulk_and_bulk_has_its_turns(threads):
    model = Model()
    shared = batcher(model)
    model.gate.clear()
    bulk = threads.submit(run, shared, [text(1, 64)] * 6)
    model.n_started.acquire()
    queries = [threads.submit(run, shared, [text(100 + i, 40)]) for i in range(6)]
    waits(shared, 7)
    model.gate.set()
    assert bulk.result()[0] == {}
    assert [q.result()[0] for q in queries] == [{}] * 6
    urgent = [batch[0] >= 100 for batch in model.batches]
    assert urgent == [False, True, True, True, True, False, True, True, *[False] * 4]


def test_batches_of_bulk_are_half_as_long_while_queries_come():
    model, now = Model(), [0.0]
    shared = Batcher(model, lambda: 64, "model@q8", lambda: now[0])
    bulk = [text(1)] * 16
    run(shared, bulk)
    run(shared, [text(100)])
    now[0] = 0.4
    run(shared, bulk)
    now[0] = 0.6
    run(shared, bulk)
    assert [len(batch) for batch in model.batches] == [8, 8, 1, 4, 4, 4, 4, 8, 8]


def test_bulk_requests_take_turns(threads):
    model = Model()
    shared = batcher(model)
    model.gate.clear()
    many = threads.submit(run, shared, [text(1, 64)] * 20)
    model.n_started.acquire()
    few = threads.submit(run, shared, [text(2, 64)] * 3)
    waits(shared, 2)
    model.gate.set()
    many.result()
    few.result()
    assert [batch[0] for batch in model.batches[:8]] == [1, 1, 2, 1, 2, 1, 2, 1]


@pytest.mark.parametrize("bad", [BAD, NAN])
def test_a_bad_text_fails_its_owner_only(threads, bad):
    model = Model()
    shared = batcher(model)
    model.gate.clear()
    first = threads.submit(run, shared, [text(0)])
    model.n_started.acquire()
    owner = threads.submit(run, shared, [text(1), text(bad)])
    other = threads.submit(run, shared, [text(2), text(3)])
    waits(shared, 2)
    model.gate.set()
    assert first.result()[0] == other.result()[0] == {}
    assert list(owner.result()[0]) == [1]
    assert owner.result()[1][0, 0] == 1
    assert other.result()[1][:, 0].tolist() == [2, 3]


def test_too_little_memory_halves_the_batch():
    model = Model(most=2)
    failures, rows = run(batcher(model), [text(i) for i in range(8)])
    assert failures == {}
    assert rows[:, 0].tolist() == list(range(8))
    assert [len(batch) for batch in model.batches] == [8, 4, 2, 2, 4, 2, 2]


def test_no_memory_for_one_text_is_raised_to_its_owner_only(threads):
    model = Model()
    shared = batcher(model)
    model.gate.clear()
    first = threads.submit(run, shared, [text(0)])
    model.n_started.acquire()
    owner = threads.submit(run, shared, [text(1), text(HUGE)] + [text(4, 60)] * 9)
    other = threads.submit(run, shared, [text(2), text(3)] + [text(5, 60)] * 9)
    waits(shared, 2)
    model.gate.set()
    with pytest.raises(EngineMemoryError):
        owner.result()
    assert first.result()[0] == other.result()[0] == {}
    assert other.result()[1][:2, 0].tolist() == [2, 3]


def test_a_cancelled_request_leaves_within_a_batch(threads):
    model = Model()
    shared = batcher(model)
    model.gate.clear()
    first = threads.submit(run, shared, [text(0, 64)] * 2)
    model.n_started.acquire()
    watch = Watch()
    second = threads.submit(run, shared, [text(1, 64)] * 100, watch)
    waits(shared, 2)
    watch.cancelled.set()
    model.gate.set()
    with pytest.raises(TaskCancelledError):
        second.result()
    assert first.result()[0] == {}
    assert model.batches == [[0], [0]]


def test_a_cancelled_leader_lets_another_lead(threads):
    model = Model()
    shared = batcher(model)
    model.gate.clear()
    watch = Watch()
    first = threads.submit(run, shared, [text(0, 64)] * 100, watch)
    model.n_started.acquire()
    second = threads.submit(run, shared, [text(1, 64)] * 3)
    waits(shared, 2)
    watch.cancelled.set()
    model.gate.set()
    with pytest.raises(TaskCancelledError):
        first.result()
    assert second.result()[0] == {}
    assert model.batches == [[0], [1], [1], [1]]


def test_an_interrupted_leader_gives_the_texts_of_others_back(threads):
    model = Model()
    interrupts = threading.Event()

    def compute(ids):
        found = model(ids)
        if len(ids) > 1 and not interrupts.is_set():
            interrupts.set()
            raise KeyboardInterrupt
        return found

    shared = Batcher(compute, lambda: 64, "model@q8")
    model.gate.clear()
    first = threads.submit(run, shared, [text(0)])
    model.n_started.acquire()
    others = [threads.submit(run, shared, [text(i)]) for i in (1, 2)]
    waits(shared, 2)
    model.gate.set()
    first.result()
    failed = [other for other in others if isinstance(other.exception(), KeyboardInterrupt)]
    (left,) = [other for other in others if other not in failed]
    assert left.result()[0] == {}
    assert left.result()[1].any()


requests = st.lists(
    st.lists(
        st.tuples(st.sampled_from([1, 2, 3, BAD, NAN, HUGE]), st.integers(1, 80)), max_size=30
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(requests, st.sampled_from([1, 3, 100]))
def test_whatever_comes_at_once_everyone_gets_their_own(requests, most):
    shared = batcher(Model(most))

    def ask(values):
        try:
            return run(shared, [text(value, length) for value, length in values])
        except EngineMemoryError:
            return None

    with ThreadPoolExecutor(len(requests)) as pool:
        found = list(pool.map(ask, requests))
    for values, answer in zip(requests, found, strict=True):
        assert (answer is None) == (HUGE in [value for value, _ in values])
        if answer is not None:
            failures, rows = answer
            assert sorted(failures) == [i for i, (v, _) in enumerate(values) if v in {BAD, NAN}]
            good = [i for i in range(len(values)) if i not in failures]
            assert rows[good, 0].tolist() == [values[i][0] for i in good]
    assert not shared._waiting
    assert shared._leader is None
