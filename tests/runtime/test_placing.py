from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.runtime.placing import Held, Load, Memory, Refuse, Wait, place


def held(key, size=30, **changes):
    return Held(key, size, **changes)


def decide(need, models, budget=100, floor=10, n_models=5):
    resident = floor + sum(model.size_bytes for model in models)
    return place(need, Memory(budget, resident, floor), models, n_models)


@pytest.mark.parametrize(
    ("need", "models", "expected"),
    [
        (90, [], Load()),
        (30, [held("a"), held("b")], Load()),
        (31, [held("a"), held("b", last_used=1)], Load(("a",))),
        (31, [held("a", last_used=2), held("b", last_used=1)], Load(("b",))),
        (31, [held("a", priority=1), held("b", last_used=9)], Load(("b",))),
        (31, [held("a", pinned=True), held("b", last_used=9)], Load(("b",))),
        (31, [held("a", in_use=True), held("b", last_used=9)], Load(("b",))),
        (60, [held("a"), held("b", last_used=1)], Load(("a",))),
        (61, [held("a"), held("b", last_used=1)], Load(("a", "b"))),
        (40, [held("a", 5), held("b", 80, last_used=1)], Load(("b",))),
        (61, [held("a", in_use=True), held("b")], Wait(("a", "b"))),
        (61, [held("a", in_use=True), held("b", in_use=True)], Wait(("a", "b"))),
    ],
)
def test_the_lowest_priority_goes_first_then_the_least_recently_used(need, models, expected):
    assert decide(need, models) == expected


@pytest.mark.parametrize(
    ("need", "models"),
    [(91, []), (91, [held("a", in_use=True)]), (61, [held("a", pinned=True), held("b")])],
)
def test_what_could_never_fit_is_refused_at_once(need, models):
    assert isinstance(decide(need, models), Refuse)


def test_a_full_number_of_models_costs_one_of_them():
    assert decide(1, [held("a"), held("b", last_used=1)], n_models=2) == Load(("a",))
    assert decide(1, [held("a", in_use=True)], n_models=1) == Wait(("a",))
    assert isinstance(decide(1, [held("a", pinned=True)], n_models=1), Refuse)


def test_models_that_may_give_back_more_than_is_known_are_unloaded_before_a_refusal():
    swollen = Memory(budget=100, resident=99, floor=10)
    assert place(50, swollen, [held("a", 5)], 5) == Load(("a",))
    assert isinstance(place(50, swollen, [], 5), Refuse)


MODELS = st.lists(
    st.builds(
        Held,
        st.uuids().map(str),
        st.integers(1, 60),
        st.booleans(),
        st.booleans(),
        st.integers(-2, 2),
        st.integers(0, 5).map(float),
    ),
    max_size=6,
)


@given(st.integers(1, 120), MODELS, st.integers(1, 6), st.integers(0, 150))
def test_only_idle_models_go_and_no_more_than_needed(need, models, n_models, resident):
    memory = Memory(100, resident, min(10, resident))
    found = place(need, memory, models, n_models)
    if not isinstance(found, Load):
        return
    by_key = {model.key: model for model in models}
    gone = [by_key[key] for key in found.victims]
    assert not any(model.in_use or model.pinned for model in gone)
    idle = [model for model in models if not (model.in_use or model.pinned)]

    def suffices(victims):
        freed = sum(model.size_bytes for model in victims)
        return need + resident - freed <= 100 and len(models) - len(victims) < n_models

    if suffices(gone):
        assert not any(suffices([m for m in gone if m is not one]) for one in gone)
    else:
        assert len(gone) == len(idle) > 0


@given(st.integers(1, 120), MODELS, st.integers(1, 6))
def test_waiting_is_only_for_what_is_in_use(need, models, n_models):
    if isinstance(decide(need, models, n_models=n_models), Wait):
        assert any(model.in_use for model in models)
