"""What this process may use of the machine: processors and memory."""

from __future__ import annotations

import math
import os
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Processors that this process may use: its affinity, cut by the cgroup's quota.

    Args:
        cgroup: Root of the cgroup file system.

    Returns:
        At least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        n_cpus = len(os.sched_getaffinity(0))
    else:
        n_cpus = os.cpu_count() or 1
    quota = _cpu_quota(cgroup)
    return max(1, min(n_cpus, math.ceil(quota))) if quota else max(1, n_cpus)


def available_memory_bytes(cgroup: Path = _CGROUP) -> int:
    """Memory that this process could still take: the least of the system's and the cgroup's."""
    free = int(psutil.virtual_memory().available)
    limit = _read_int(cgroup / "memory.max")
    used = _read_int(cgroup / "memory.current")
    if limit is not None and used is not None:
        free = min(free, max(0, limit - used))
    return free


def total_memory_bytes(cgroup: Path = _CGROUP) -> int:
    """Memory of this machine, or the cgroup's limit where that is lower."""
    total = int(psutil.virtual_memory().total)
    limit = _read_int(cgroup / "memory.max")
    return total if limit is None else min(total, limit)


def resident_bytes() -> int:
    """Resident set size of this process."""
    return int(psutil.Process().memory_info().rss)


def _cpu_quota(cgroup: Path) -> float | None:
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _read_int(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
