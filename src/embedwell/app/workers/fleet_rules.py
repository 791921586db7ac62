"""What becomes of a worker's place in a fleet when its process has ended: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

SOME_FAILED = 3
"""Exit code of a worker that is done, but some of whose documents failed."""
LONG_S = 30.0
"""Who lived so long did not die of its start."""

_FIRST_S, _LONGEST_S = 1.0, 60.0
_TRIES = 5
_USAGE = 2
# What may be gone the next time; all else would be the same.
_PASSING = {
    "StoreGoneError",
    "StoreBusyError",
    "ServiceGoneError",
    "ServiceBusyError",
    "ServiceStoppingError",
    "ServiceStartError",
    "ServiceSlowError",
    "PressureError",
    "OverBudgetError",
    "EngineError",
    "EngineMemoryError",
}


@dataclass(frozen=True)
class Ended:
    """A worker's process that has ended.

    Attributes:
        code: Its exit code; negative for the signal that killed it.
        error: What it said was wrong: `type`, `problem`, `remedy`; empty if it said nothing.
        report: What it did, if it came to say so.
        n_quick: How many in a row, this one included, ended within `LONG_S` of their start.
    """

    code: int
    error: Mapping[str, object] = field(default_factory=dict)
    report: Mapping[str, object] = field(default_factory=dict)
    n_quick: int = 0


@dataclass(frozen=True)
class Step:
    """What to do: it is `done`, comes `again` after some seconds, or is the `end` of all."""

    kind: Literal["done", "again", "end"]
    after_s: float = 0.0
    error: Mapping[str, object] = field(default_factory=dict)


def next_step(ended: Ended, *, stays: bool) -> Step:
    """What to do about a worker that has ended.

    Args:
        ended: How.
        stays: Whether it should not have ended by itself.
    """
    after_s = min(_FIRST_S * 2 ** max(ended.n_quick - 1, 0), _LONGEST_S)
    if ended.code in {0, SOME_FAILED}:
        return Step("again", after_s) if stays else Step("done")
    if ended.error and ended.error.get("type") not in _PASSING:
        return Step("end", error=ended.error)
    if ended.code == _USAGE or (not ended.error and ended.code > 0 and ended.n_quick >= _TRIES):
        return Step("end", error=_unexplained(ended.code))
    return Step("again", after_s)


def _unexplained(code: int) -> Mapping[str, object]:
    return {
        "type": "EmbedwellError",
        "problem": f"A worker ended with code {code} and did not say why in a form that is known.",
        "remedy": "See what it wrote above; `embedwell doctor` checks this machine.",
    }
