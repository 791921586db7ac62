"""What a machine's memory gives by default: one table, and the least memory of each level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from embedwell.core.artifact import Quantization

_GIB = 1 << 30


@dataclass(frozen=True)
class DeviceProfile:
    """Defaults for machines of some size.

    Attributes:
        up_to_bytes: Largest memory that it is meant for; None for the largest machines.
        quantization: Bits per weight of models whose q8 is large for the machine.
        n_models: Most models loaded at once.
        idle_s: Seconds after which an unused model is unloaded; 0 for never.
    """

    up_to_bytes: int | None
    quantization: Quantization
    n_models: int
    idle_s: float


PROFILES = (
    DeviceProfile(2 * _GIB, "q4", 1, 60.0),
    DeviceProfile(4 * _GIB, "q4", 2, 300.0),
    DeviceProfile(8 * _GIB, "q8", 3, 600.0),
    DeviceProfile(None, "q16", 5, 0.0),
)

MINIMUM_RAM_BYTES: Mapping[Quantization, int] = {
    "q4": 2 * _GIB,
    "q8": 4 * _GIB,
    "q16": 6 * _GIB,
    "q32": 8 * _GIB,
}


def profile_for(ram_bytes: int) -> DeviceProfile:
    """The first profile that is meant for so much memory."""
    return next(p for p in PROFILES if p.up_to_bytes is None or ram_bytes <= p.up_to_bytes)
