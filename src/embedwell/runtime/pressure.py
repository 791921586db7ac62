"""How close memory is to its limit, and what follows from it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import psutil

from embedwell.core.cgroup import limited_groups, pressure_file

Level = Literal["low", "medium", "high", "critical"]
LEVELS: tuple[Level, ...] = get_args(Level)

WARN_FROM = 0.85
# Share of the last 10 s in which some task stood still for want of memory, in percent, from which
# memory counts as one level scarcer than its use says. systemd-oomd acts at 60 over 30 s; half of
# a tenth is well before anything has to be killed.
_STALLED_PERCENT = 5.0
_FRESH_S = 0.5
_SYSTEM_PRESSURE = Path("/proc/pressure/memory")


@dataclass(frozen=True)
class Reading:
    """What the machine says.

    Attributes:
        fraction: Memory in use over its limit: the highest of the system's and of each cgroup's.
        stalled_percent: Pressure stall information, `some avg10`; 0 where there is none.
    """

    fraction: float
    stalled_percent: float = 0.0


@dataclass(frozen=True)
class Action:
    """What one level of pressure does.

    Attributes:
        batch_share: Part of the usual tokens of a batch.
        cache_share: Part of the usual size of the cache of vectors.
        idle_s: Models unused for longer are unloaded, whatever was set; None leaves what was set.
        loads: Whether models are loaded.
        meaning: When the level holds.
    """

    batch_share: float
    cache_share: float
    idle_s: float | None
    loads: bool
    meaning: str


ACTIONS: Mapping[Level, Action] = {
    "low": Action(1.0, 1.0, None, loads=True, meaning="below 0.6 of the limit"),
    "medium": Action(1.0, 1.0, 300.0, loads=True, meaning="0.6 to 0.75"),
    "high": Action(0.5, 0.5, 30.0, loads=True, meaning="above 0.75"),
    "critical": Action(0.25, 0.0, 0.0, loads=False, meaning="above 0.9"),
}
"""The one table of what each level does."""


@dataclass(frozen=True)
class Pressure:
    """A level, and the use of memory that it came from."""

    level: Level
    fraction: float

    @property
    def action(self) -> Action:
        """What the level does."""
        return ACTIONS[self.level]


def judge(reading: Reading) -> Pressure:
    """The level of a reading; stalls raise it by one."""
    fraction = reading.fraction
    at = 3 if fraction > 0.9 else 2 if fraction > 0.75 else 1 if fraction >= 0.6 else 0
    if reading.stalled_percent >= _STALLED_PERCENT:
        at = min(at + 1, len(LEVELS) - 1)
    return Pressure(LEVELS[at], fraction)


def read_machine() -> Reading:
    """Read the cgroups around this process and the system; about 0.2 ms."""
    system = psutil.virtual_memory()
    fractions = [1 - system.available / system.total]
    fractions += [group.working_bytes / max(1, group.limit_bytes) for group in limited_groups()]
    return Reading(max(fractions), stalled_percent(pressure_file() or _SYSTEM_PRESSURE))


def stalled_percent(place: Path) -> float:
    """`some avg10` of a file of pressure stall information; 0 where it cannot be read."""
    try:
        some = place.read_text().splitlines()[0].split()
        return float(some[1].removeprefix("avg10="))
    except (OSError, ValueError, IndexError):
        return 0.0


def _ignore(pressure: Pressure, before: Level) -> None:
    del pressure, before


class PressureGauge:
    """The pressure now, read again when the last reading is half a second old.

    Args:
        read: Reads the machine.
        changed: Told when the level changes: the new pressure and the level before.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        read: Callable[[], Reading] = read_machine,
        changed: Callable[[Pressure, Level], None] = _ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._changed = changed
        self._clock = clock
        self._lock = threading.Lock()
        self._last = Pressure("low", 0.0)
        self._read_at = -_FRESH_S

    def now(self, *, fresh: bool = False) -> Pressure:
        """The pressure; with `fresh` read at this moment."""
        with self._lock:
            if not fresh and self._clock() - self._read_at < _FRESH_S:
                return self._last
            before, self._last = self._last, judge(self._read())
            self._read_at = self._clock()
            found = self._last
        if found.level != before.level:
            self._changed(found, before.level)
        return found
