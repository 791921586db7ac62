"""Drift: the scale, the bounds, and what no cosine shows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedwell.core.vectors import normalized
from embedwell.handshake.drift import (
    BOUNDS,
    WIDE,
    Drift,
    measure,
    measure_texts,
    nonsense,
    scatter,
    spread,
)
from embedwell.handshake.probes import PROBES, Probe

NATURAL = [Probe(f"text {number}") for number in range(20)]


def random(n: int = 20, d: int = 64, seed: int = 0):
    drawn = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return normalized(drawn)


def turned(vectors, direction, cosine: float):
    """Each row turned towards a direction until it has that cosine to where it was."""
    across = direction - np.einsum("nd,nd->n", direction, vectors)[:, None] * vectors
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    return (cosine * vectors + np.sqrt(1 - cosine**2) * across).astype(np.float32)


def test_the_same_vectors_do_not_drift():
    found = measure(random(), random(), NATURAL)
    assert found.worst == pytest.approx(0, abs=1e-6)
    assert found.scatter == pytest.approx(0, abs=1e-6)
    assert found.within(BOUNDS)


@given(st.floats(0.05, 20))
@settings(max_examples=20, deadline=None)
def test_length_does_not_matter(length):
    found = measure(random(), random() * np.float32(length), NATURAL)
    assert found.worst < 1e-6
    assert found.scatter < 1e-5


def test_drift_is_relative_to_how_far_texts_are_apart():
    stored = random()
    narrow = normalized(stored + 3 * stored[:1])  # all close together, as some models have them
    for vectors in (stored, narrow):
        asked = turned(vectors, random(seed=1), 0.99)
        drift = measure(vectors, asked, NATURAL)
        assert drift.mean == pytest.approx(0.01 / spread(vectors), rel=0.01)
    assert spread(narrow) < 0.3 * spread(stored)


def test_spread_is_one_less_the_mean_cosine_between_different_rows():
    vectors = random(5)
    cosines = [float(a @ b) for i, a in enumerate(vectors) for j, b in enumerate(vectors) if i != j]
    assert spread(vectors) == pytest.approx(1 - np.mean(cosines), rel=1e-5)


def test_the_worst_probe_is_named_and_odd_ones_are_told_apart():
    probes = [*NATURAL[:18], Probe("?", is_odd=True), Probe("!", is_odd=True)]
    stored, other = random(), random(seed=1)
    asked = stored.copy()
    asked[3:4] = turned(stored[3:4], other[3:4], 0.98)
    asked[19:] = turned(stored[19:], other[19:], 0.95)
    found = measure(stored, asked, probes)
    assert (found.worst_probe, found.odd_worst_probe) == (3, 19)
    scale = spread(stored[:18])
    assert found.worst == pytest.approx(0.02 / scale, rel=0.01)
    assert found.odd_worst == pytest.approx(0.05 / scale, rel=0.01)
    assert found.mean == pytest.approx(found.worst / 18, rel=0.01)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_vector_that_is_none_is_never_admitted(value):
    asked = random()
    asked[7] = value
    found = measure(random(), asked, NATURAL)
    assert (found.unusable, found.worst_probe) == (1, 7)
    assert not found.within(WIDE)


def test_vectors_of_another_length_are_never_admitted():
    found = measure(random(), random(d=32), NATURAL)
    assert found.unusable == len(NATURAL)
    assert not found.within(WIDE)
    assert measure_texts(random(), random(d=32), 1.0).unusable == len(NATURAL)


def test_noise_in_one_direction_for_all_scatters_no_less_than_its_drift_says():
    stored = random()
    stored[:, 0] += 0.4 * np.random.default_rng(2).standard_normal(20)  # topics differ along one
    stored = normalized(stored)
    along = np.zeros_like(stored)
    along[:, 0] = np.sign(stored[:, 0])
    apart, random_ = turned(stored, along, 0.99), turned(stored, random(seed=3), 0.99)
    drifts = measure(stored, apart, NATURAL), measure(stored, random_, NATURAL)
    assert drifts[0].mean == pytest.approx(drifts[1].mean, rel=0.01)
    assert drifts[0].scatter > 1.2 * drifts[1].scatter


def test_a_shift_that_moves_all_scores_alike_does_not_scatter():
    stored = np.pad(random(), ((0, 0), (0, 1)))
    asked = stored.copy()
    asked[:, -1] = 0.3  # where no stored vector has anything
    assert scatter(stored, asked) < 0.05
    assert measure(stored, asked, NATURAL).mean > BOUNDS.mean


@pytest.mark.parametrize(
    ("field", "value"), [("mean", 0.02), ("worst", 0.05), ("scatter", 0.1), ("odd_worst", 0.1)]
)
def test_every_bound_counts(field, value):
    good = {"mean": 0.001, "worst": 0.002, "scatter": 0.01, "odd_worst": 0.01}
    places = {"worst_probe": 0, "odd_worst_probe": 0, "unusable": 0}
    assert Drift(**good, **places).within(BOUNDS)
    drift = Drift(**good | {field: value}, **places)
    assert not drift.within(BOUNDS)
    assert drift.within(WIDE)


def test_any_texts_are_measured_on_a_given_scale():
    stored = random(3)
    asked = turned(stored, random(3, seed=1), 0.98)
    found = measure_texts(stored, asked, 0.5)
    assert found.mean == pytest.approx(0.04, rel=0.01)
    assert found.odd_worst == found.scatter == 0


def twins_near(seed: int = 0):
    vectors = random(len(PROBES), seed=seed)
    for at, probe in enumerate(PROBES):
        for before in range(at):
            if probe.twin and probe.twin == PROBES[before].twin:
                vectors[at] = normalized(vectors[before : before + 1] + 0.1 * vectors[at])[0]
    return vectors


def test_what_a_first_writer_gives_must_make_sense():
    good = twins_near()
    assert nonsense(good, PROBES) == ""
    assert "nearly the same" in nonsense(np.ones_like(good), PROBES)
    opposed = twins_near()
    for at, probe in enumerate(PROBES):
        for before in range(at):
            if probe.twin and probe.twin == PROBES[before].twin:
                opposed[at] = -opposed[before]
    assert "no closer" in nonsense(opposed, PROBES)
    good[4] = np.nan
    assert "1 of 32" in nonsense(good, PROBES)
