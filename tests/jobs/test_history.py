"""What workers wrote down, cut into intervals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.jobs.progress.history import history
from embedwell.stores.queue import Metrics


def row(worker, at, seconds, n_done, n_chunks, *, n_failed=0):
    return Metrics(1, worker, at, seconds, n_done, n_failed, 0, n_chunks, 0, 0, 100)


def test_what_was_done_between_two_reports_is_spread_over_that_time():
    found = history([row("a", 1010, 10, 10, 20), row("a", 1020, 20, 40, 80, n_failed=10)], 4)
    assert (found.began_at, found.interval_s) == (1000, 5)
    assert found.workers[0].documents == pytest.approx((5, 5, 20, 20))
    assert found.workers[0].chunks == pytest.approx((10, 10, 30, 30))


def test_workers_that_join_later_have_nothing_before():
    found = history([row("a", 1010, 10, 10, 10), row("b", 1020, 10, 30, 30)], 2)
    assert [one.documents for one in found.workers] == [pytest.approx((10, 0)), (0, 30)]
    assert found.total() == [(10, 10), (30, 30)]
    assert found.total("b") == [(0, 0), (30, 30)]


def test_a_run_of_which_nothing_was_kept_has_no_history():
    assert history([], 5) is None


steps = st.lists(st.tuples(st.floats(0, 100), st.integers(0, 1000)), min_size=1, max_size=9)


@given(st.dictionaries(st.sampled_from("abc"), steps, min_size=1), st.integers(1, 50))
def test_nothing_is_lost_or_added(steps_of, n_intervals):
    rows, total = [], 0
    for worker, told in steps_of.items():
        at, n = 1000.0, 0
        for pause_s, more in told:
            at, n = at + pause_s, n + more
            rows.append(row(worker, at, at - 1000.0, n, 2 * n))
        total += n
    found = history(sorted(rows, key=lambda one: one.at), n_intervals)
    assert sum(documents for documents, _ in found.total()) == pytest.approx(total)
    assert sum(chunks for _, chunks in found.total()) == pytest.approx(2 * total)
    assert all(value >= -1e-9 for one in found.workers for value in one.documents)
