"""How much of the machine a worker takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

import psutil

from embedwell.app.config.settings import Settings
from embedwell.app.config.sizes import parse_bytes
from embedwell.app.embedding.connect import sign_of_service
from embedwell.core.device import available_cpus

_LOOK_EVERY_S = 5.0


def share(settings: Settings, n_workers: int) -> Mapping[str, str]:
    """Settings of one of several workers of this machine: its part of the memory and the CPUs.

    Where the service embeds, that has its own budget and threads, and workers load no model.

    Args:
        settings: Of all of them together.
        n_workers: How many there are.
    """
    if settings.service != "off" and sign_of_service(settings) is not None:
        return {}
    threads = (settings.threads or available_cpus()) // n_workers
    return {
        "memory_budget": _part(settings.memory_budget, n_workers),
        "threads": str(max(1, threads)),
    }


def be_nice(nice: int) -> None:
    """Give way to others.

    Args:
        nice: By how much, as `nice` counts; where a system only has classes of processes, any
            number above 0 is the one below the normal.
    """
    if not nice:
        return
    if hasattr(os, "nice"):
        os.nice(nice)
    elif nice > 0:
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)


def is_above(max_load: float) -> Callable[[], bool]:
    """Tells whether the load average of the last minute is above a limit; cheap.

    Args:
        max_load: The limit; 0 for none. A system without a load average has none.
    """
    if not max_load or not hasattr(os, "getloadavg"):
        return lambda: False
    looked_at, was_above = -_LOOK_EVERY_S, False

    def look() -> bool:
        nonlocal looked_at, was_above
        if time.monotonic() - looked_at >= _LOOK_EVERY_S:
            looked_at, was_above = time.monotonic(), os.getloadavg()[0] > max_load
        return was_above

    return look


def _part(size: str, n_workers: int) -> str:
    if size.endswith("%"):
        return f"{float(size[:-1]) / n_workers:.4f}%"
    return str(max(1, parse_bytes(size) // n_workers))
