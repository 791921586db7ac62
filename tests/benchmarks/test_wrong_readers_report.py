import numpy as np
import pytest
from benchmarks.report import page
from benchmarks.targets import verdicts
from benchmarks.wrong_readers import readers
from benchmarks.wrong_readers_measure import best, beyond, holds, overlap

from benchmarks import wrong_readers_vectors as after
from benchmarks import wrong_readers_weights as weights
from embedwell.handshake.drift import BOUNDS, Drift

MACHINE = {"processor": "P", "instructions": ["avx2"], "n_cores": 2, "memory_gib": 8,
           "system": "S", "python": "3", "embedwell": "0", "load_before": 0.1}  # fmt: skip


def reader(half, overlap, *, admitted, mean=0.02):
    return {
        "kind": "noise",
        "name": f"{half} {overlap}",
        "half": half,
        "overlap": overlap,
        "overlap_large": overlap - 0.02,
        "overlap_passages": overlap,
        "n_changed": 30 if admitted else 0,
        "overlap_changed": overlap - 0.1 if admitted else None,
        "mean": mean,
        "worst": mean,
        "scatter": mean,
        "odd_worst": mean,
        "beyond": [] if admitted else ["mean"],
        "worst_text": "window",
        "admitted": admitted,
        "holds": holds(overlap, admitted=admitted),
    }


PART = {
    "date": "2026-01-01",
    "took_s": 9,
    "machine": MACHINE,
    "n_passages": 1000,
    "n_large": 100_000,
    "n_queries": 300,
    "refused_below": 0.9,
    "admitted_above": 0.98,
    "bounds": vars(BOUNDS),
    "rows": [
        reader("tuning", 0.8, admitted=False),
        reader("reported", 0.7, admitted=False, mean=None),
        reader("reported", 0.95, admitted=False),
        reader("reported", 0.99, admitted=True, mean=1e-5),
        reader("reported", 0.985, admitted=False),
    ],
}


def vectors(n):
    found = np.random.default_rng(n).standard_normal((n, 384), np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_there_are_many_readers_of_different_names_and_most_are_not_for_tuning():
    found = readers()
    names = [one.name for one in found]
    assert len(set(names)) == len(names) > 200
    assert sum(not one.is_for_tuning for one in found) > 2 * len(found) / 4


@pytest.mark.parametrize(
    ("share", "admitted", "right"),
    [
        (0.89, False, True),
        (0.89, True, False),
        (0.95, True, True),
        (0.95, False, True),
        (0.99, True, True),
        (0.99, False, False),
    ],
)
def test_the_rule_binds_below_and_above_and_leaves_what_is_between(share, admitted, right):
    assert holds(share, admitted=admitted) is right


def test_overlap_counts_what_stays_and_unusable_vectors_find_nothing():
    stored, asked = vectors(300), vectors(20)
    found = best(asked, stored)
    assert found.shape == (20, 10)
    assert overlap(asked, found, stored) == 1
    assert overlap(-asked, found, stored) < 0.2
    asked[:5], asked[5:10, 3] = 0, np.nan
    assert overlap(asked, found, stored) == 0.5


def test_which_bounds_are_passed_is_told():
    assert beyond(Drift(0, 0, 0, 0, 0, 0, 0)) == []
    assert beyond(Drift(1, 0, 0, 1, 0, 0, 0)) == ["mean", "scatter"]
    assert beyond(Drift(np.inf, np.inf, 0, np.inf, np.inf, 0, 2)) == ["unusable"]


def test_the_page_counts_what_was_right_and_names_what_was_not():
    found = page({"wrong_readers": PART})
    assert "and not with the 4 below: for 3 of these it\nholds" in found
    assert "1 had to be refused and 1 were; 2 had\nto be let in and 1 were" in found
    assert "- noise, reported 0.985: overlap 0.985, refused: mean (worst on 'window…')" in found
    assert "it changes the vector of no query" in found
    assert "| 0.01 to 0.02 |" not in found
    assert "| 0.02 to 0.05 | 3 | 0 |" in found
    assert "| noise | reported 0.7 | 0.700 / 0.680 | - / - | - | - | refused: mean |" in found


def test_promises_are_of_the_readers_that_nothing_was_chosen_with():
    values = {one.target.what: one.value for one in verdicts({"wrong_readers": PART})}
    assert values["wrong readers that cost more than a tenth of the top 10: refused"] == 1
    assert values["readers that cost less than a fiftieth of it: let in"] == 0.5


def test_noise_of_a_text_is_always_the_same_and_as_long_as_it_says():
    unit, texts = vectors(8), [f"text {n}" for n in range(8)]
    noisy = after.noise(0.3)(unit, texts)
    assert np.array_equal(noisy, after.noise(0.3)(unit, texts))
    assert np.allclose((noisy * unit).sum(axis=1), (1 + 0.3**2) ** -0.5, atol=0.03)
    assert np.allclose(after.rotated(0.2)(unit, texts) @ after.rotated(0.2)(unit, texts).T,
                       unit @ unit.T, atol=1e-5)  # fmt: skip


def test_a_part_of_the_texts_can_be_broken_alone():
    unit = vectors(2)
    broken = after.only_where(after.is_one_word, after.scaled(0))(unit, ["word", "two words"])
    assert not broken[0].any()
    assert np.array_equal(broken[1], unit[1])


def test_rounding_keeps_as_many_steps_as_it_has_bits():
    matrix = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
    assert len(np.unique(weights.rounded(4)(matrix))) <= 15
    assert np.abs(weights.rounded(8, 32)(matrix) - matrix).max() < 0.02
    flipped = weights.flipped_bit(1, 31)(matrix.copy())
    assert (flipped != matrix).sum() == 1
    assert np.array_equal(np.abs(flipped), np.abs(matrix))
