from __future__ import annotations

from itertools import pairwise

import pytest

from embedwell.runtime.pressure import (
    ACTIONS,
    LEVELS,
    PressureGauge,
    Reading,
    judge,
    read_machine,
    stalled_percent,
)


@pytest.mark.parametrize(
    ("fraction", "level"),
    [
        (0.0, "low"), (0.59, "low"), (0.6, "medium"), (0.75, "medium"), (0.751, "high"),
        (0.9, "high"), (0.901, "critical"), (1.2, "critical"),
    ],
)  # fmt: skip
def test_levels_begin_where_the_table_says(fraction, level):
    assert judge(Reading(fraction)).level == level


def test_stalls_raise_the_level_by_one_and_no_further_than_the_last():
    raised = [judge(Reading(fraction, 20.0)).level for fraction in (0.1, 0.7, 0.8, 0.95)]
    assert raised == ["medium", "high", "critical", "critical"]
    assert judge(Reading(0.1, 1.0)).level == "low"


def test_no_level_does_more_than_the_one_below():
    assert list(ACTIONS) == list(LEVELS)
    actions = list(ACTIONS.values())
    for lower, higher in pairwise(actions):
        assert lower.batch_share >= higher.batch_share
        assert lower.cache_share >= higher.cache_share
        assert lower.loads >= higher.loads


def test_a_reading_is_kept_for_half_a_second_and_changes_are_told():
    now, fractions, told = [0.0], [0.1], []
    reads = []

    def read():
        reads.append(1)
        return Reading(fractions[0])

    gauge = PressureGauge(read, lambda p, before: told.append((before, p.level)), lambda: now[0])
    assert gauge.now().level == "low"
    fractions[0] = 0.95
    assert gauge.now().level == "low"
    assert gauge.now(fresh=True).level == "critical"
    now[0], fractions[0] = 0.6, 0.2
    assert gauge.now().level == "low"
    assert len(reads) == 3
    assert told == [("low", "critical"), ("critical", "low")]


def test_this_machine_can_be_read():
    reading = read_machine()
    assert 0 < reading.fraction < 2
    assert reading.stalled_percent >= 0


@pytest.mark.parametrize(
    ("text", "percent"),
    [("some avg10=12.50 avg60=0.00 total=1\nfull avg10=1\n", 12.5), ("", 0.0), ("some x=1", 0.0)],
)
def test_stalls_are_read_where_the_system_tells(tmp_path, text, percent):
    (tmp_path / "memory").write_text(text)
    assert stalled_percent(tmp_path / "memory") == percent
    assert stalled_percent(tmp_path / "none") == 0.0
