"""How long unused models stay, and which of them are late: pure decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from embedwell.runtime.model import Model
from embedwell.runtime.states import Limits, ModelState, Wish

Overdue = Mapping[Literal["idle", "pressure"], list[Model]]


def stays_s(wish: Wish, limits: Limits, at_most_s: float | None) -> float | None:
    """Seconds that an unused model stays: as wished, less under pressure; None for ever.

    Args:
        wish: What was asked for this model.
        limits: What holds for all.
        at_most_s: Most seconds that pressure leaves it; None where there is none.
    """
    if wish.pinned:
        return None
    asked = limits.idle_s if wish.idle_s is None else wish.idle_s
    times = [seconds for seconds in (asked or None, at_most_s) if seconds is not None]
    return min(times, default=None)


def overdue(
    idle: Iterable[tuple[Model, Wish]], limits: Limits, at_most_s: float | None, now: float
) -> Overdue:
    """The unused models whose time is over, by the reason that it is: their own, or pressure."""
    found: Overdue = {"idle": [], "pressure": []}
    for model, wish in idle:
        unused_s = now - model.last_used
        own, under_pressure = stays_s(wish, limits, None), stays_s(wish, limits, at_most_s)
        if own is not None and unused_s >= own:
            found["idle"].append(model)
        elif under_pressure is not None and unused_s >= under_pressure:
            found["pressure"].append(model)
    return found


def state_of(
    model: Model, wish: Wish, limits: Limits, at_most_s: float | None, now: float
) -> ModelState:
    """How a loaded model stands."""
    idle_s = 0.0 if model.in_use else max(0.0, now - model.last_used)
    stays = stays_s(wish, limits, at_most_s)
    return ModelState(
        model.artifact,
        "loaded",
        model.size_bytes,
        model.in_use,
        wish.pinned,
        wish.priority,
        model.engine.n_texts,
        idle_s,
        None if stays is None or model.in_use else max(0.0, stays - idle_s),
    )
