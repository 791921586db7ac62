"""Drift: how far a build's vectors are from the stored ones, on one scale for every model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedwell.core.vectors import FloatArray, unusable
from embedwell.handshake.probes import Probe

# Mean cosine between different texts above which vectors tell nothing; the narrowest published
# models stay below .9.
_ALL_ALIKE = 0.999
_TINY = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Bounds:
    """Up to where drift is admitted.

    Attributes:
        mean: Of the mean over the natural probes.
        worst: Of the worst natural probe.
        scatter: Of the scatter over the natural probes.
        odd_worst: Of the worst odd probe.
    """

    mean: float
    worst: float
    scatter: float
    odd_worst: float


BOUNDS = Bounds(0.01, 0.03, 0.045, 0.06)
"""For every build; see docs/handshake.md for what is at which drift."""

WIDE = Bounds(0.05, 0.15, 0.2, 0.3)
"""For builds that `accept_drift` names."""

BETWEEN_ADMITTED = 4.0
"""Two builds that are both admitted may be twice as far from each other, in angle, as each is from
the reference: so many times the drift."""


@dataclass(frozen=True)
class Drift:
    """What was measured; 0 is the same vector, 1 as far as between unrelated texts.

    Attributes:
        mean: Mean over the natural probes.
        worst: Worst natural probe's.
        worst_probe: Which one that is, by position; the first unusable one where there is one.
        scatter: How far scores move against each other, as part of how far they are apart: 0 keeps
            every ranking, however far the vectors moved.
        odd_worst: Worst odd probe's; 0 without odd probes.
        odd_worst_probe: Which one that is; `worst_probe` without odd probes.
        unusable: How many vectors are NaN, infinite, zero or of another length; nothing else can
            be told then.
    """

    mean: float
    worst: float
    worst_probe: int
    scatter: float
    odd_worst: float
    odd_worst_probe: int
    unusable: int

    def within(self, bounds: Bounds) -> bool:
        """Whether a build that drifts so may be let in."""
        return (
            not self.unusable
            and self.mean <= bounds.mean
            and self.worst <= bounds.worst
            and self.scatter <= bounds.scatter
            and self.odd_worst <= bounds.odd_worst
        )

    @property
    def blamed_probe(self) -> int:
        """The probe that is furthest beyond its bound, or nearest to it; by position."""
        is_odd = self.odd_worst / BOUNDS.odd_worst > self.worst / BOUNDS.worst
        return self.odd_worst_probe if is_odd else self.worst_probe


def measure(stored: FloatArray, asked: FloatArray, probes: Sequence[Probe]) -> Drift:
    """How far vectors of the probe texts are from the stored ones.

    drift = (1 - cosine with the stored vector) / (1 - mean cosine between different stored
    vectors): some models put all texts close together, and the same cosine means less there.

    Args:
        stored: What the first writer's build made of the probes: float32, shape (n, d), usable.
        asked: What another build makes of them: float32, shape (n, d).
        probes: The n texts; three natural ones at least.
    """
    if bad := _broken(stored, asked):
        return bad
    is_odd = np.array([probe.is_odd for probe in probes])
    drifts = _drifts(stored, asked, spread(stored[~is_odd]))
    natural, odd = np.where(is_odd, -np.inf, drifts), np.where(is_odd, drifts, -np.inf)
    worst = int(natural.argmax())
    odd_worst = int(odd.argmax()) if is_odd.any() else worst
    return Drift(
        mean=float(drifts[~is_odd].mean()),
        worst=float(drifts[worst]),
        worst_probe=worst,
        scatter=scatter(stored[~is_odd], asked[~is_odd]),
        odd_worst=float(drifts[odd_worst]) if is_odd.any() else 0.0,
        odd_worst_probe=odd_worst,
        unusable=0,
    )


def measure_texts(stored: FloatArray, asked: FloatArray, scale: float) -> Drift:
    """The same for any texts, without scatter: they may all be alike.

    Args:
        stored: float32, shape (n >= 1, d), usable.
        asked: float32, shape (n, d).
        scale: The `spread` of natural texts.
    """
    if bad := _broken(stored, asked):
        return bad
    drifts = _drifts(stored, asked, scale)
    worst = int(drifts.argmax())
    return Drift(float(drifts.mean()), float(drifts[worst]), worst, 0.0, 0.0, worst, 0)


def scatter(stored: FloatArray, asked: FloatArray) -> float:
    """How far scores move against each other, as part of how far they are apart.

    For each text, the standard deviation of the changes of its cosines to the other stored vectors,
    divided by that of the cosines themselves; the mean over the texts. Results change places by
    this, and a small drift in one direction for all texts moves them more than a larger one at
    random.

    Args:
        stored: float32, shape (n >= 3, d), usable.
        asked: float32, shape (n, d), usable.
    """
    unit, n = _unit(stored), len(stored)
    others = ~np.eye(n, dtype=bool)
    before = (unit @ unit.T)[others].reshape(n, n - 1)
    after = (_unit(asked) @ unit.T)[others].reshape(n, n - 1)
    apart = max(float(before.std(axis=1).mean()), _TINY)
    return float((after - before).std(axis=1).mean()) / apart


def spread(vectors: FloatArray) -> float:
    """1 - mean cosine between different rows of usable vectors, float32 of shape (n >= 2, d)."""
    unit, n = _unit(vectors), len(vectors)
    total = float(np.square(unit.sum(axis=0)).sum())
    return max(1 - (total - n) / (n * (n - 1)), _TINY)


def nonsense(vectors: FloatArray, probes: Sequence[Probe]) -> str:
    """Why a first writer's vectors of the probes cannot be right; empty where they may be.

    Args:
        vectors: float32, shape (n, d).
        probes: The n texts.
    """
    bad = unusable(vectors)
    if bad.any():
        return f"{int(bad.sum())} of {len(vectors)} probes have no usable vector"
    unit = _unit(vectors)
    cosines = unit @ unit.T
    twins = np.array(
        [[bool(a.twin) and a.twin == b.twin and a is not b for b in probes] for a in probes]
    )
    others = ~twins & ~np.eye(len(probes), dtype=bool)
    alike = float(cosines[others].mean())
    if alike > _ALL_ALIKE:
        return "all probes have nearly the same vector"
    if float(cosines[twins].mean()) <= alike:
        return "texts that say the same are no closer than texts about different things"
    return ""


def _broken(stored: FloatArray, asked: FloatArray) -> Drift | None:
    """What is told of vectors that are not all usable; None where they are."""
    same = asked.shape == stored.shape
    bad = unusable(asked) if same else np.ones(len(stored), dtype=bool)
    if not bad.any():
        return None
    first = int(np.flatnonzero(bad)[0])
    return Drift(np.inf, np.inf, first, np.inf, np.inf, first, int(bad.sum()))


def _drifts(stored: FloatArray, asked: FloatArray, scale: float) -> npt.NDArray[np.float64]:
    cosines = np.einsum("nd,nd->n", _unit(stored), _unit(asked))
    drifts: npt.NDArray[np.float64] = np.maximum(1 - cosines, 0) / scale
    return drifts


def _unit(vectors: FloatArray) -> npt.NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    unit: npt.NDArray[np.float64] = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return unit
