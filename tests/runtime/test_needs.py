from __future__ import annotations

import threading

import pytest
from fake_machine import MB, artifact_of
from hypothesis import given
from hypothesis import strategies as st

from embedwell.core.space import Space
from embedwell.engines.protocol import TokenBatch
from embedwell.runtime.model import Activity, MeteredEngine
from embedwell.runtime.needs import (
    PeakMemory,
    activation_bytes,
    estimated_bytes,
    tokens_that_fit,
)

WIDE = Space("m", "1", "mean", True, "", "", 512, 768)


def test_the_estimate_counts_the_weights_and_the_longest_text(tmp_path):
    artifact = artifact_of(tmp_path, "a", 100)
    assert estimated_bytes(artifact) > 100 * MB + activation_bytes(artifact.space)
    assert activation_bytes(WIDE) > 512 * 768 * 100


@given(st.integers(-(1 << 30), 1 << 40), st.floats(0, 1))
def test_a_batch_is_one_text_at_least_and_no_larger_than_is_quick(free_bytes, share):
    assert 1 <= tokens_that_fit(free_bytes, WIDE, share) <= 256


def test_the_room_of_the_longest_text_is_enough_for_the_quickest_batch():
    assert tokens_that_fit(activation_bytes(WIDE), WIDE, 1.0) == 256
    assert tokens_that_fit(activation_bytes(WIDE), WIDE, 0.25) == 64
    assert tokens_that_fit(activation_bytes(WIDE) // 4, WIDE, 1.0) < 256


def test_the_peak_between_two_readings_is_seen():
    memory, seen = [10], threading.Event()

    def read():
        if memory[0] == 90:
            seen.set()
        return memory[0]

    with PeakMemory(read) as found:
        memory[0] = 90
        assert seen.wait(10)
        memory[0] = 40
    assert (found.before, found.peak) == (10, 90)


class Growing:
    """Runs add to a memory, and may run another engine meanwhile."""

    def __init__(self, memory, adds, inner=None):
        self.memory, self.adds, self.inner = memory, adds, inner

    def run(self, batch):
        if self.inner:
            self.inner.run(batch)
        self.memory[0] += self.adds

    def close(self):
        pass


@pytest.mark.parametrize("most", [100, 5])
def test_what_runs_add_is_counted_once_and_up_to_what_was_expected(most):
    memory = [1000]
    activity = Activity(lambda: memory[0])
    batch = TokenBatch([[1]], [[1]])
    inner = MeteredEngine(Growing(memory, 7), most, activity)
    outer = MeteredEngine(Growing(memory, 3, inner), most, activity)
    outer.run(batch)
    memory[0] += 500  # while nothing runs
    outer.run(batch)
    assert (inner.grown_bytes, outer.grown_bytes) == (min(14, most), min(6, most))
    assert inner.n_texts == outer.n_texts == 2
