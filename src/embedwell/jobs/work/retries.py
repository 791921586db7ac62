"""What is tried again, when, and when it is given up: pure decisions."""

from __future__ import annotations

import errno

from embedwell.core.errors import (
    EngineMemoryError,
    PressureError,
    RemoteBusyError,
    RemoteChangedError,
    RemoteGoneError,
    RemoteSlowError,
    ServiceBusyError,
    ServiceGoneError,
    ServiceSlowError,
    StoreBusyError,
    StoreGoneError,
)
from embedwell.stores.queue import Outcome, Task

N_TRIES = 5
"""Tries of one row before it is given up."""
_FIRST_S, _FACTOR = 1.0, 5.0

STORE_AWAY = (StoreGoneError, StoreBusyError)
"""What a store raises that is there again soon; nothing was kept of the call."""
ENGINE_AWAY = (
    ServiceGoneError,
    ServiceBusyError,
    ServiceSlowError,
    RemoteGoneError,
    RemoteBusyError,
    RemoteSlowError,
    RemoteChangedError,
    PressureError,
    EngineMemoryError,
)
"""What embedding raises that says nothing about the texts."""

# Of the file itself: the same tomorrow, unless it changes.
_LASTING = {
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.ENXIO,
}


def may_pass(error: OSError) -> bool:
    """Whether reading may succeed later: a share that is away, a disk that stutters."""
    return error.errno not in _LASTING


def retry_s(failures: int) -> float:
    """Seconds before a row is tried again: 1, 5, 25, ….

    Args:
        failures: How often it failed before this time.
    """
    return _FIRST_S * _FACTOR**failures


def unread(task: Task, error: OSError) -> Outcome:
    """What becomes of a row whose file could not be read."""
    if not may_pass(error):
        return Outcome(task, "failed", str(error))
    if task.failures + 1 >= N_TRIES:
        return Outcome(task, "dead", f"{error} ({N_TRIES} tries)")
    return Outcome(task, "pending", str(error), retry_s=retry_s(task.failures))


def unprepared(task: Task, error: Exception) -> Outcome:
    """What becomes of a row that could not be cut, for a reason that nobody foresaw."""
    return Outcome(task, "failed", f"{type(error).__name__}: {error}")
