"""How wrong the time left was, from what was told, and in runs played again."""

from __future__ import annotations

import pytest
from benchmarks.eta import Told, errors
from benchmarks.eta_replay import Row, even, worst


def test_the_worst_is_told_with_its_sign_and_place():
    told = [Told(5, 500), Told(10, 99), Told(50, 40), Told(80, None), Told(95, 15), Told(101, 3)]
    found = errors(told, 100)
    assert found.of_left == pytest.approx((-0.2, 0.5)), "before 10 % and after 90 % it is left out"
    assert found.of_whole == pytest.approx((-0.1, 0.5))
    assert found.n_unknown == 1


def test_documents_are_worked_off_in_groups_by_whoever_is_free():
    rows = [Row("source", 1000, 128, 1.0)] * 8
    ended = [row.ended for row in even(rows, 2)]
    assert ended == [2.5] * 4 + [4.5] * 4


def test_documents_that_are_all_alike_are_foreseen_and_others_are_not():
    alike = [Row("source", 10_000, 20, 0.5)] * 2_000
    assert worst(even(alike, 1), 1) < 0.05
    dear = [Row("source", 10_000, 20, 2.0)] * 1_000
    assert worst(even(alike[:1_000] + dear, 1), 1) > 0.3
