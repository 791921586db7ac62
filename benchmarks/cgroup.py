"""A cgroup of our own with a memory limit, where this machine lets us make one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MOVE = 'echo $$ > "$0/cgroup.procs" && exec "$@"'


class NoCgroupError(Exception):
    """No limited cgroup can be made here; the message says why."""


@dataclass(frozen=True)
class Cgroup:
    """A cgroup with a limit.

    Attributes:
        folder: Where its files lie.
        version: 1 or 2, which name their files differently.
    """

    folder: Path
    version: int

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command that moves itself into this cgroup before it starts."""
        return ["sh", "-c", MOVE, str(self.folder), *command]

    def limit(self, n_bytes: int) -> None:
        """Set the limit of everything in it, page cache included; no swap beyond it."""
        if self.version == 1:
            (self.folder / "memory.limit_in_bytes").write_text(str(n_bytes))
        else:
            (self.folder / "memory.max").write_text(str(n_bytes))
            if (swap := self.folder / "memory.swap.max").exists():
                swap.write_text("0")

    def n_oom_kills(self) -> int:
        """How many processes the kernel has killed in it for memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return self._fields(name)["oom_kill"]

    def n_limit_hits(self) -> int:
        """How often its memory would have passed the limit and had to be reclaimed."""
        if self.version == 1:
            return int((self.folder / "memory.failcnt").read_text())
        return self._fields("memory.events")["max"]

    def _fields(self, name: str) -> dict[str, int]:
        lines = (self.folder / name).read_text().splitlines()
        return {key: int(n) for key, _, n in (line.partition(" ") for line in lines)}


@contextmanager
def limited(n_bytes: int) -> Iterator[Cgroup]:
    """A new cgroup with this limit, within the limits of our own; removed afterwards.

    Raises:
        NoCgroupError: The machine does not let us.
    """
    own = Path("/proc/self/cgroup")
    try:
        made = _made(place(own.read_text()))
    except OSError as error:
        raise NoCgroupError(f"no cgroup can be made here ({error})") from error
    try:
        made.limit(n_bytes)
        yield made
    finally:
        made.folder.rmdir()


def _made(place: tuple[Path, int]) -> Cgroup:
    folder, version = place
    folder.mkdir()
    return Cgroup(folder, version)


def place(own: str) -> tuple[Path, int]:
    """Where a cgroup may be made: below our own in version 1, beside it in version 2.

    In version 2 only leaves hold processes, so that one with processes can have no children.
    """
    name = f"embedwell-benchmark-{os.getpid()}"
    fields = [line.split(":", 2) for line in own.splitlines()]
    for _, controllers, path in fields:
        if "memory" in controllers.split(","):
            return ROOT / "memory" / path.lstrip("/") / name, 1
    path = next((path for _, controllers, path in fields if not controllers), "/")
    parent = ROOT / path.strip("/")
    return (parent if path == "/" else parent.parent) / name, 2
