"""Drift: how far a build's vectors are from the stored ones, on one scale for every model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedwell.core.vectors import FloatArray
from embedwell.handshake.probes import Probe


@dataclass(frozen=True)
class Bounds:
    """Up to where drift is admitted.

    Attributes:
        mean: Of the mean over the natural probes.
        worst: Of the worst natural probe.
        odd_worst: Of the worst odd probe.
    """

    mean: float
    worst: float
    odd_worst: float


BOUNDS = Bounds(0.01, 0.03, 0.10)
"""For every build. q8 against q32 of all-MiniLM-L6-v2 is at about a tenth (docs/handshake.md)."""

WIDE = Bounds(0.05, 0.15, 0.40)
"""For builds that `accept_drift` names."""


@dataclass(frozen=True)
class Drift:
    """What was measured; 0 is the same vector, 1 as far as between unrelated texts.

    Attributes:
        mean: Mean over the natural probes.
        worst: Worst natural probe's.
        worst_probe: Which one that is, by position; the first unusable one where there is one.
        odd_worst: Worst odd probe's; 0 without odd probes.
        odd_worst_probe: Which one that is; `worst_probe` without odd probes.
        unusable: How many vectors are NaN, infinite, zero or of another length; nothing else can
            be told then.
    """

    mean: float
    worst: float
    worst_probe: int
    odd_worst: float
    odd_worst_probe: int
    unusable: int

    def within(self, bounds: Bounds) -> bool:
        """Whether a build that drifts so may be let in."""
        return (
            not self.unusable
            and self.mean <= bounds.mean
            and self.worst <= bounds.worst
            and self.odd_worst <= bounds.odd_worst
        )


def measure(
    stored: FloatArray, asked: FloatArray, probes: Sequence[Probe], scale: float | None = None
) -> Drift:
    """How far vectors of the probe texts are from the stored ones.

    drift = (1 - cosine with the stored vector) / (1 - mean cosine between different stored
    vectors): some models put all texts close together, and the same cosine means less there.

    Args:
        stored: What the first writer's build made of the probes: float32, shape (n, d), usable.
        asked: What another build makes of them: float32, shape (n, d).
        probes: The n texts.
        scale: Of all drifts; the `spread` of the natural probes' stored vectors if left out.
    """
    is_odd = np.array([probe.is_odd for probe in probes])
    same = asked.shape == stored.shape
    bad = unusable(asked) if same else np.ones(len(probes), dtype=bool)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        return Drift(np.inf, np.inf, first, np.inf, first, int(bad.sum()))
    cosines = np.einsum("nd,nd->n", _unit(stored), _unit(asked))
    drifts = np.maximum(1 - cosines, 0) / (scale or spread(stored[~is_odd]))
    natural = np.where(is_odd, -np.inf, drifts)
    worst = int(natural.argmax())
    odd = int(np.where(is_odd, drifts, -np.inf).argmax()) if is_odd.any() else worst
    return Drift(
        mean=float(drifts[~is_odd].mean()),
        worst=float(drifts[worst]),
        worst_probe=worst,
        odd_worst=float(drifts[odd]) if is_odd.any() else 0.0,
        odd_worst_probe=odd,
        unusable=0,
    )


def spread(vectors: FloatArray) -> float:
    """1 - mean cosine between different rows of usable vectors, float32 of shape (n >= 2, d)."""
    unit, n = _unit(vectors), len(vectors)
    total = float(np.square(unit.sum(axis=0)).sum())
    return max(1 - (total - n) / (n * (n - 1)), float(np.finfo(np.float32).eps))


def unusable(vectors: FloatArray) -> npt.NDArray[np.bool_]:
    """Which rows are NaN, infinite or all zero: bool, shape (n,)."""
    return np.asarray(~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1))


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


# Mean cosine between different texts above which vectors tell nothing; the narrowest published
# models stay below .9.
_ALL_ALIKE = 0.999


def _unit(vectors: FloatArray) -> npt.NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    unit: npt.NDArray[np.float64] = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return unit
