"""What callers are told whose model is not loaded, and how a program is told of all the rest."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from embedwell.core.artifact import Artifact
from embedwell.core.errors import EmbedwellError, OverBudgetError, PressureError
from embedwell.core.events import Event, EventKind, Listener
from embedwell.runtime.pressure import WARN_FROM, Level, Pressure

_WARN_EVERY_S = 60.0
_log = logging.getLogger(__name__)


class NoRoomError(Exception):
    """There will be no room for an artifact; a smaller one may still fit. Never leaves `runtime`.

    Attributes:
        error: What its caller is told where none does.
    """

    def __init__(self, error: OverBudgetError) -> None:
        super().__init__(str(error))
        self.error = error


def over_budget(
    artifact: Artifact, need_bytes: int, budget_bytes: int, resident_bytes: int, reason: str
) -> OverBudgetError:
    """It cannot fit, whatever is unloaded for it."""
    return OverBudgetError(
        f"{artifact.name} needs about {_mb(need_bytes)} and the memory budget is "
        f"{_mb(budget_bytes)}, of which the process holds {_mb(resident_bytes)}: {reason}.",
        f"Raise `memory_budget` to {_mb(need_bytes + resident_bytes)} or more, unpin or unload "
        "another model, or take a lower quantization or a smaller model.",
    )


def in_use(artifact: Artifact, waited_s: float) -> OverBudgetError:
    """The models that would have to go were in use for too long."""
    return OverBudgetError(
        f"{artifact.name} was not loaded: for {waited_s:g} s the models that would have to make "
        "room for it, or those before it in line, were in use.",
        "Ask again when they are idle, or raise `memory_budget` so that all of them fit.",
    )


def no_memory(artifact: Artifact) -> OverBudgetError:
    """The system gave no memory although the budget allowed it."""
    return OverBudgetError(
        f"The system gave no memory for {artifact.name}, with every idle model unloaded.",
        "Free memory on this machine, take a lower quantization or a smaller model, and set "
        "`memory_budget` to what the machine really has.",
    )


def no_memory_to_run(artifact: Artifact) -> OverBudgetError:
    """It is loaded, and the system gave no memory for a single text."""
    return OverBudgetError(
        f"The system gave no memory to run {artifact.name}, even for one text alone.",
        "Free memory on this machine, or take a lower quantization or a smaller model.",
    )


def under_pressure(artifact: Artifact, fraction: float) -> PressureError:
    """Memory is nearly full."""
    return PressureError(
        f"{artifact.name} was not loaded: memory is at {fraction:.0%} of its limit and no idle "
        "model is left to unload.",
        "Ask again in 5 s, or free memory on this machine.",
    )


class Teller:
    """Tells a listener what happens to models.

    Args:
        listener: Called with each event.
        clock: Seconds, never going back.
    """

    def __init__(self, listener: Listener, clock: Callable[[], float]) -> None:
        self._listener = listener
        self._clock = clock
        self._lock = threading.Lock()
        self._warned_at: dict[str, float] = {}

    def tell(self, kind: EventKind, artifact: Artifact, **detail: str | float | None) -> None:
        """Something happened to one artifact; see `core.events.EVENTS`."""
        self._listener(Event(kind, artifact.name, detail))

    def loading(self, artifact: Artifact, stage: str) -> None:
        """One more stage of loading begins."""
        self.tell("loading", artifact, stage=stage, done=0, total=None, unit="")

    def pressure(self, pressure: Pressure, before: Level) -> None:
        """The level changed."""
        detail = {"level": pressure.level, "before": before, "fraction": pressure.fraction}
        self._listener(Event("pressure", "", detail))

    def refused(
        self, artifact: Artifact, error: EmbedwellError, need_bytes: int, budget_bytes: int
    ) -> None:
        """It was not loaded."""
        reasons = {OverBudgetError: "budget", PressureError: "pressure"}
        reason = reasons.get(type(error), "failed")
        self.tell(
            "refused", artifact, reason=reason, need_bytes=need_bytes, budget_bytes=budget_bytes
        )

    def warn_when_full(self, pressure: Pressure) -> None:
        """Texts came: warn, once a minute at most, where memory is above 85 %."""
        if pressure.fraction <= WARN_FROM:
            return
        if self._is_time_to_warn("pressure"):
            _log.warning("Memory is at %.0f %% of its limit.", 100 * pressure.fraction)
            self._listener(Event("warning", "", {"fraction": pressure.fraction}))

    def warn_of_lower(self, refused: EmbedwellError, lower: Artifact) -> None:
        """A lower quantization stands in: warn, once a minute at most."""
        if self._is_time_to_warn(lower.key):
            _log.warning("%s %s is used instead.", refused.problem, lower.name)

    def _is_time_to_warn(self, about: str) -> bool:
        with self._lock:
            now = self._clock()
            is_time = now - self._warned_at.get(about, -_WARN_EVERY_S) >= _WARN_EVERY_S
            if is_time:
                self._warned_at[about] = now
            return is_time


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.0f} MB"
