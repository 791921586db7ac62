"""How wrong the time left was, from what was told."""

from __future__ import annotations

import pytest
from benchmarks.eta import Told, errors


def test_the_worst_is_told_with_its_sign_and_place():
    told = [Told(5, 500), Told(10, 99), Told(50, 40), Told(80, None), Told(95, 15), Told(101, 3)]
    found = errors(told, 100)
    assert found.of_left == pytest.approx((-0.2, 0.5)), "before 10 % and after 90 % it is left out"
    assert found.of_whole == pytest.approx((-0.1, 0.5))
    assert found.n_unknown == 1
