"""Machines that are network namespaces of this one, each at the end of a cable of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

_NET = "10.231.{}.{}"


@dataclass(frozen=True)
class Machine:
    """A network namespace.

    Attributes:
        name: Of the namespace.
        near: The address of this machine on the cable.
        far: Its own.
    """

    name: str
    near: str
    far: str

    def command(self, words: Sequence[str]) -> list[str]:
        """A command that runs there."""
        return ["ip", "netns", "exec", self.name, *words]


def can_make() -> bool:
    """Whether this user may make network namespaces here."""
    if not hasattr(os, "geteuid") or os.geteuid() or not shutil.which("ip"):
        return False
    name = f"embedwell-try{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode:
        return False
    _ip("netns", "del", name)
    return True


@contextmanager
def machines(n: int) -> Iterator[list[Machine]]:
    """So many machines, gone afterwards with their cables; their clocks and files are this one's.

    Raises:
        subprocess.CalledProcessError: They cannot be made here.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(_machine(number)) for number in range(1, n + 1)]


@contextmanager
def _machine(number: int) -> Iterator[Machine]:
    name, cable = f"embedwell{os.getpid()}-{number}", f"ew{os.getpid() % 10**6}-{number}"
    subnet = 1 + (os.getpid() + number) % 250
    made = Machine(name, _NET.format(subnet, 1), _NET.format(subnet, 2))
    _ip("netns", "add", name)
    try:
        _ip("link", "add", cable, "type", "veth", "peer", "name", "far0", "netns", name)
        _ip("addr", "add", f"{made.near}/24", "dev", cable)
        _ip("link", "set", cable, "up")
        _ip("-n", name, "addr", "add", f"{made.far}/24", "dev", "far0")
        for device in ("lo", "far0"):
            _ip("-n", name, "link", "set", device, "up")
        yield made
    finally:
        _ip("netns", "del", name)  # takes its end of the cable along, and so the cable


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
