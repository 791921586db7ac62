"""What this process may use of the machine: processors and memory."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from embedwell.core.cgroup import MEMBERSHIP, ROOT, limited_groups

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

# Processes that run models for this one: their memory is its memory, to whoever keeps a budget.
_helpers: set[int] = set()

_M_ARENA_MAX = -8  # of mallopt(3)
_N_ARENAS = 2  # with one, embedding is 5 % slower


def available_cpus(cgroup: Path = ROOT) -> int:
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


def available_memory_bytes(cgroup: Path = ROOT, membership: Path = MEMBERSHIP) -> int:
    """Memory that this process could still take: the least of the system's and the cgroups'."""
    free = int(psutil.virtual_memory().available)
    groups = limited_groups(cgroup, membership)
    return min([free, *(max(0, group.limit_bytes - group.working_bytes) for group in groups)])


def total_memory_bytes(cgroup: Path = ROOT, membership: Path = MEMBERSHIP) -> int:
    """Memory of this machine, or the lowest limit of the cgroups around this process."""
    total = int(psutil.virtual_memory().total)
    return min([total, *(group.limit_bytes for group in limited_groups(cgroup, membership))])


def resident_bytes() -> int:
    """Resident set size of this process and of those that run models for it.

    On Linux cheap enough (2 us a process) to ask before each batch.
    """
    return _resident("self") + sum(map(_resident, tuple(_helpers)))


def count_helper(pid: int, *, runs: bool) -> None:
    """Count the memory of a process of ours to this one's from now on, or no longer."""
    (_helpers.add if runs else _helpers.discard)(pid)


def _resident(process: int | str) -> int:
    """Resident set size of a process; 0 where it has ended."""
    try:
        file = os.open(f"/proc/{process}/statm", os.O_RDONLY)
        try:
            return int(os.read(file, 64).split()[1]) * _PAGE_BYTES
        finally:
            os.close(file)
    except (OSError, IndexError):  # not Linux, or it has ended
        with suppress(psutil.Error):
            return int(
                psutil.Process(None if process == "self" else int(process)).memory_info().rss
            )
    return 0


def return_freed_memory() -> None:
    """Ask the C library to give freed pages back to the system; only glibc knows how."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # musl has no malloc_trim
            ctypes.CDLL(None).malloc_trim(0)


def keep_few_arenas() -> None:
    """Bound the arenas of glibc's malloc, for the whole process.

    There may be eight for each CPU, and `malloc_trim` leaves the end of all but the first alone:
    45 MB of an unloaded model stayed there when several threads had run it.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # musl has no mallopt
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _N_ARENAS)


if hasattr(os, "register_at_fork"):  # what was forked did not start them
    os.register_at_fork(after_in_child=_helpers.clear)


def _cpu_quota(cgroup: Path) -> float | None:
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None
