from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.app.config.settings import Settings
from embedwell.app.models.choose import (
    STRONG_FROM_BYTES,
    QuantizationChoice,
    choose_model,
    choose_quantization,
    machine,
    quantization_for,
    runnable,
)
from embedwell.core.artifact import QUANTIZATIONS
from embedwell.models.catalogue import card
from embedwell.runtime.profile import MINIMUM_RAM_BYTES, PROFILES, profile_for

GIB = 1 << 30
SMALL = card("all-MiniLM-L6-v2")
STRONG = replace(SMALL, name="strong", dimensions=768, n_parameters=110_000_000)
MIDDLE = replace(SMALL, name="middle", n_parameters=33_000_000)
CODE = replace(STRONG, name="code", domain="code", dimensions=1024)
CARDS = [SMALL, MIDDLE, STRONG, CODE]


def level(q8_bytes=23_000_000, budget=4 * GIB, ram=5 * GIB, policy="measured", asked="auto"):
    return choose_quantization(asked, policy, q8_bytes, budget, ram)


@pytest.mark.parametrize(
    ("gib", "expected"),
    [
        (1, ("q4", 1, 60)),
        (2, ("q4", 1, 60)),
        (3, ("q4", 2, 300)),
        (4, ("q4", 2, 300)),
        (8, ("q8", 3, 600)),
        (9, ("q16", 5, 0)),
    ],
)
def test_the_table_of_profiles(gib, expected):
    found = profile_for(gib * GIB)
    assert (found.quantization, found.n_models, found.idle_s) == expected


@pytest.mark.parametrize("ram", [1, 3, 6, 16])
def test_a_model_that_fits_a_quarter_of_the_budget_is_q8_on_every_machine(ram):
    found = level(ram=ram * GIB, budget=int(ram * 0.8 * GIB))
    assert found.quantization == "q8"
    assert "a quarter of the budget" in found.reason
    assert found.warning == ""


@pytest.mark.parametrize(
    ("ram", "expected"), [(1, "q4"), (3, "q4"), (6, "q8"), (16, "q16"), (64, "q16")]
)
def test_a_larger_one_takes_the_tables_level(ram, expected):
    found = level(q8_bytes=20 * GIB, ram=ram * GIB, budget=int(ram * 0.8 * GIB))
    assert found.quantization == expected
    assert "the table's" in found.reason


def test_the_policy_table_applies_it_to_all():
    found = level(policy="table", ram=16 * GIB, budget=12 * GIB)
    assert (found.quantization, "as the policy says" in found.reason) == ("q16", True)


@pytest.mark.parametrize("asked", QUANTIZATIONS)
def test_what_is_asked_for_is_taken_with_a_warning_below_its_least_memory(asked):
    minimum = MINIMUM_RAM_BYTES[asked]
    assert level(asked=asked, ram=minimum).warning == ""
    below = level(asked=asked, ram=minimum - 1)
    assert below.quantization == asked
    assert f"{asked} is meant for machines from" in below.warning


@given(
    q8_bytes=st.integers(1, 1 << 40),
    budget=st.integers(1, 1 << 40),
    ram=st.integers(1, 1 << 40),
    policy=st.sampled_from(["measured", "table"]),
)
def test_a_choice_is_q8_where_it_fits_else_a_profiles(q8_bytes, budget, ram, policy):
    found = level(q8_bytes, budget, ram, policy).quantization
    if policy == "measured" and q8_bytes * 4 <= budget:
        assert found == "q8"
    else:
        assert found in {profile.quantization for profile in PROFILES}


def test_a_lower_budget_speaks_of_a_smaller_machine():
    budget, ram = machine(Settings(memory_budget="800MB"))
    assert (budget, ram) == (800_000_000, 1_000_000_000)
    budget, ram = machine(Settings())
    assert budget == pytest.approx(0.8 * ram, rel=1e-6)
    assert quantization_for(Settings(memory_budget="50MB"), SMALL).quantization == "q4"
    assert quantization_for(Settings(quantization="q32"), SMALL).quantization == "q32"


def chosen(available, present=(), reachable=(), cards=CARDS):
    found = choose_model(
        cards, available, lambda c: c.name in present, lambda c: c.name in reachable
    )
    return found and found.name


@pytest.mark.parametrize(
    ("available", "expected"),
    [(STRONG_FROM_BYTES + 1, "strong"), (STRONG_FROM_BYTES, SMALL.name), (GIB, SMALL.name)],
)
def test_above_3_gib_the_stronger_model_else_the_lighter(available, expected):
    names = [card.name for card in CARDS]
    assert chosen(available, present=names) == expected
    assert chosen(available, reachable=names) == expected


def test_what_cannot_be_had_is_passed_over():
    assert chosen(8 * GIB, present=[SMALL.name]) == SMALL.name
    assert chosen(8 * GIB, present=[SMALL.name], reachable=["middle"]) == "middle"
    assert chosen(GIB, present=["strong"]) == "strong"
    assert chosen(8 * GIB) is None
    assert chosen(8 * GIB, present=["code"]) is None


UNVERIFIED = replace(STRONG, name="unverified", dimensions=1024, verified=False)
HUGE = replace(STRONG, name="huge", dimensions=2048, n_parameters=3 << 30)
SCORES = replace(STRONG, name="scores", dimensions=1024, head="rerank")
TABLE = replace(SMALL, name="table", dimensions=64, architecture="static")


@pytest.mark.parametrize("other", [UNVERIFIED, HUGE, SCORES, TABLE], ids=lambda card: card.name)
@pytest.mark.parametrize("available", [GIB, 8 * GIB])
def test_what_is_unverified_too_large_or_for_something_else_is_not_fetched(other, available):
    names = [SMALL.name, other.name]
    assert chosen(available, reachable=names, cards=[SMALL, other]) == SMALL.name


def test_an_unverified_model_that_is_here_may_be_chosen():
    assert chosen(8 * GIB, present=["unverified"], cards=[SMALL, UNVERIFIED]) == "unverified"


def test_nobody_is_asked_for_a_model_below_the_one_that_is_taken():
    asked = []
    choose_model(CARDS, 8 * GIB, lambda c: c.name == "strong", lambda c: asked.append(c.name))
    assert asked == []


def test_the_choice_says_which_and_why():
    present = {SMALL.name, "strong"}
    found = choose_model(CARDS, 8 * GIB, lambda c: c.name in present, lambda c: False)
    assert found.reason == (
        "The model is strong (768 dimensions): 8.0 GiB of memory are available, more than 3.0 GiB."
    )
    found = choose_model(CARDS, GIB, lambda c: c.name == "strong", lambda c: False)
    assert "not more than 3.0 GiB; all-MiniLM-L6-v2, middle would have come first" in found.reason
    found = choose_model([SMALL], GIB, lambda c: True, lambda c: False)
    assert found.reason == (
        "The model is all-MiniLM-L6-v2 (384 dimensions): no other is verified or here, and fits."
    )


@pytest.mark.parametrize(
    ("engine", "chosen", "expected"),
    [
        ("onnx", "q4", "q4"),
        ("openvino", "q8", "q16"),
        ("openvino", "q32", "q32"),
        ("x", "q4", "q4"),
    ],
)
def test_an_engine_gets_the_next_level_that_it_runs(engine, chosen, expected):
    choice = QuantizationChoice(chosen, "It fits.")
    found = runnable(choice, engine)
    assert found.quantization == expected
    assert (found is choice) == (chosen == expected)


def test_what_was_asked_for_is_not_exchanged_for_what_the_engine_runs():
    assert quantization_for(Settings(engine="openvino"), SMALL).quantization == "q16"
    asked = Settings(engine="openvino", quantization="q8")
    assert quantization_for(asked, SMALL).quantization == "q8"
