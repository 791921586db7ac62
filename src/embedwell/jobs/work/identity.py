"""Who works: names that no other worker has, and whether their process is still there."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from functools import cache
from pathlib import Path

import psutil

from embedwell.stores.leases import LONGEST_S
from embedwell.stores.queue import Queue, Worker

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_SPACE = Path("/proc/self/ns/pid")


def new_worker() -> Worker:
    """This process as a worker, with a name of its own: host, where its number counts, number."""
    host, pid = socket.gethostname(), os.getpid()
    return Worker(f"{_where(host)}:{pid}:{secrets.token_hex(3)}", host, pid)


def bury(queue: Queue) -> None:
    """Take the leases of this machine's workers that are no more, without waiting for their end.

    Of other machines, those are forgotten whose leases have long ended.
    """
    here, now = f"{_where(socket.gethostname())}:", queue.now()
    for worker in queue.workers():
        if worker.name.startswith(here) and not _lives(worker.pid):
            lay_down(queue, worker)
        elif now - worker.seen_at > LONGEST_S:
            queue.forget_worker(worker.name)


def lay_down(queue: Queue, worker: Worker) -> None:
    """Give back what a dead worker had, and count that against what it had."""
    queue.release(worker.name, lost=True)
    queue.forget_worker(worker.name)


@cache
def _where(host: str) -> str:
    """Where process numbers mean the same: a host since it was started, or one of its containers.

    Machines and containers may share a name; then their numbers say nothing about each other.
    """
    try:
        space = f"{_BOOT_ID.read_text()}{_PID_SPACE.stat().st_ino}"
    except OSError:  # not Linux
        space = str(int(psutil.boot_time()))
    return f"{host}:{hashlib.sha256(space.encode()).hexdigest()[:6]}"


def _lives(pid: int) -> bool:
    """Whether a process is there and not only its number, kept for whoever started it."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
