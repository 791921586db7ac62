"""The time that is left, from recorded and made-up runs played again."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.jobs.progress.eta import Speed, seconds_left, speed_lately, window_s
from embedwell.jobs.sweeping.order import SAMPLE, Order
from embedwell.stores.queue import Item, Lately, Tally

# Seconds for a byte, by format, in a recorded run of the default model on one thread; a PDF's byte
# holds less text. Nobody could guess those of `tables`.
COSTS = {
    "source": 17e-6,
    "markdown": 18e-6,
    "data": 21e-6,
    "pdf": 9e-6,
    "html": 5e-6,
    "tables": 60e-6,
}
GROUP_S = 4.0


@dataclass(frozen=True)
class Row:
    """A document that a worker has finished, and when."""

    format: str
    n_bytes: int
    took_s: float
    began: float
    ended: float


def folder(*parts, seed=1):
    """Documents as a walk lists them: for each part a format, how many, and bytes on average."""
    choice = random.Random(seed)
    for name, n, size in parts:
        for _ in range(n):
            yield name, int(size * choice.lognormvariate(0, 0.8)), choice.uniform(0.8, 1.25)


def sampled(documents):
    order = Order()
    items = {
        Item(str(n), name, size, 0): (name, size, how)
        for n, (name, size, how) in enumerate(documents)
    }
    first, rest = order.split(items)
    return [items[item] for item in (*first, *rest)]


def played(documents, n_workers=1, speed=lambda at: 1.0, load_s=1.0):
    """The rows of a run: each worker commits groups of documents."""
    free, rows, group = [load_s] * n_workers, [], []
    documents = list(documents)
    for number, document in enumerate(documents):
        group.append(document)
        work_s = [COSTS[name] * size * how for name, size, how in group]
        if sum(work_s) < GROUP_S and number < len(documents) - 1:
            continue
        worker = free.index(min(free))
        began = free[worker]
        ended = began + sum(work_s) / speed(began)
        share = (ended - began) / sum(work_s)
        rows += [
            Row(name, size, seconds * share, began, ended)
            for (name, size, _), seconds in zip(group, work_s, strict=True)
        ]
        free[worker], group = ended, []
    return rows


def tally(rows, now, since):
    groups = defaultdict(list)
    for row in rows:
        status = "done" if row.ended <= now else "leased" if row.began <= now else "pending"
        groups[status, row.format].append(row)
    return [_tally(status, name, found, since) for (status, name), found in groups.items()]


def _tally(status, name, rows, since):
    late = [row for row in rows if status == "done" and row.ended >= since]
    lately = Lately(
        len(late),
        sum(row.n_bytes for row in late),
        sum(row.took_s for row in late),
        len(late),
        min((row.began for row in late), default=None),
        max((row.ended for row in late), default=None),
    )
    seconds = sum(row.took_s for row in rows) if status == "done" else 0.0
    return Tally(status, name, len(rows), sum(row.n_bytes for row in rows), seconds, 0, lately)


def worst(rows, n_workers=1, after=0.1):
    """The largest error of the time that a whole run takes, from a tenth of it on, as a share."""
    end = max(row.ended for row in rows)
    errors = []
    for percent in range(int(100 * after), 100, 2):
        now = end * percent / 100
        since = now - window_s(now)
        found = seconds_left(tally(rows, now, since), since, now, n_workers)
        assert found is not None
        errors.append(abs(now + found - end) / end)
    return max(errors)


MIXED = (("source", 700, 7000), ("markdown", 300, 6000), ("data", 60, 20_000), ("pdf", 250, 60_000))


@pytest.mark.parametrize("n_workers", [1, 2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_right_within_a_fifth_from_a_tenth_on_whatever_the_order_of_folders(seed, n_workers):
    documents = sampled(folder(*MIXED, seed=seed))
    assert worst(played(documents, n_workers), n_workers) < 0.2
    documents = sampled(folder(*reversed(MIXED), seed=seed))
    assert worst(played(documents, n_workers), n_workers) < 0.2


def test_without_a_sample_of_all_it_would_be_wrong():
    dear_last = (("source", 700, 7000), ("tables", 300, 7000))
    assert worst(played(folder(*dear_last))) > 0.3
    assert worst(played(sampled(folder(*dear_last)))) < 0.2


def test_workers_that_join_are_seen():
    rows = played(sampled(folder(*MIXED)), 1, speed=lambda at: 1.0 if at < 60 else 2.0)
    assert worst(rows, after=0.7) < 0.2


def test_a_night_in_which_the_laptop_slept_is_not_held_against_the_run():
    rows = played(sampled(folder(*MIXED)))
    half = max(row.ended for row in rows) / 2
    slept = [
        row
        if row.began < half
        else Row(row.format, row.n_bytes, row.took_s, row.began + 28_800, row.ended + 28_800)
        for row in rows
    ]
    end = max(row.ended for row in slept)
    now = half + 28_800 + 30
    since = now - window_s(now)
    found = seconds_left(tally(slept, now, since), since, now)
    assert found == pytest.approx(end - now, rel=0.25)


def test_a_worker_that_hangs_lets_the_time_left_stand_still():
    rows = played(sampled(folder(*MIXED)))
    now = max(row.ended for row in rows) / 2
    kept = [row for row in rows if row.ended <= now]
    left = [Row(row.format, row.n_bytes, 0, now - 1, 1e9) for row in rows if row.ended > now]
    leased, waiting = left[:50], [Row(r.format, r.n_bytes, 0, 1e9, 1e9) for r in left[50:]]
    since = now - window_s(now)
    later = [
        seconds_left(tally([*kept, *leased, *waiting], at, since), since, at)
        for at in (now + 500, now + 5000)
    ]
    assert later[0] == later[1] > 0


def test_nothing_is_told_before_anything_finished_and_nothing_is_left_at_the_end():
    waiting = [Tally("pending", "source", 3, 3000, 0.0, 0)]
    assert seconds_left(waiting, 0.0, 1.0) is None
    assert speed_lately(waiting, 0.0) == Speed()
    assert seconds_left([Tally("done", "source", 3, 3000, 1.0, 3)], 0.0, 1.0) == 0.0


def test_speeds_count_from_the_first_claim_to_the_last_commit():
    lately = Lately(20, 40_000, 9.0, 60, began_at=100.0, ended_at=110.0)
    found = speed_lately([Tally("done", "source", 500, 1, 1.0, 1, lately)], since=50.0)
    assert found == Speed(documents=2.0, chunks=6.0, n_bytes=4000.0)


@given(
    st.lists(
        st.builds(
            Tally,
            status=st.sampled_from(["pending", "leased", "done", "failed", "skipped", "dead"]),
            format=st.sampled_from(["source", "pdf", "text"]),
            n=st.integers(0, 9),
            n_bytes=st.integers(0, 10**9),
            seconds=st.floats(0, 1e6),
            n_chunks=st.integers(0, 99),
            lately=st.builds(
                Lately,
                n=st.integers(0, 9),
                n_bytes=st.integers(0, 10**9),
                seconds=st.floats(0, 1e6),
                n_chunks=st.integers(0, 99),
                began_at=st.none() | st.floats(0, 1e6),
                ended_at=st.none() | st.floats(0, 1e6),
            ),
        )
    ),
    st.integers(0, 64),
)
def test_it_is_never_negative_nor_fails(rows, n_workers):
    found = seconds_left(rows, 10.0, 1000.0, n_workers)
    assert found is None or found >= -1e-6


def test_the_sample_holds_every_format_and_each_folder_over_all_batches():
    order = Order()
    items = [Item(f"{n:04}", "pdf" if n >= 900 else "source", 1, 1) for n in range(1000)]
    first, rest = [], []
    for start in range(0, 1000, 70):
        one, other = order.split(items[start : start + 70])
        first, rest = first + one, rest + other
    assert sorted([*first, *rest], key=lambda item: item.key) == items
    assert [item.key for item in first][:3] == ["0000", "0016", "0032"]
    assert sum(item.format == "pdf" for item in first) == -(-100 // SAMPLE)
