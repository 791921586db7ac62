"""The control groups that bound this process's memory (cgroups(7)), versions 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
# Version 1 says "no limit" with the largest multiple of a page that fits 63 bits.
_NO_LIMIT = 1 << 60


@dataclass(frozen=True)
class _Version:
    """Where one version keeps what is wanted here."""

    limit: str
    used: str
    reclaimable: tuple[str, ...]


_V2 = _Version("memory.max", "memory.current", ("inactive_file", "active_file"))
_V1 = _Version(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
)


@dataclass(frozen=True)
class GroupMemory:
    """Memory of one control group with a limit.

    Attributes:
        limit_bytes: Most that its processes may take together.
        used_bytes: What they take now, their pages of the file cache included.
        reclaimable_bytes: Pages of files in it, which the system takes back before it kills.
    """

    limit_bytes: int
    used_bytes: int
    reclaimable_bytes: int

    @property
    def working_bytes(self) -> int:
        """What cannot simply be taken back."""
        return max(0, self.used_bytes - self.reclaimable_bytes)


def limited_groups(root: Path = ROOT, membership: Path = MEMBERSHIP) -> list[GroupMemory]:
    """Every control group around this process that has a memory limit, the innermost first."""
    found = (_read(folder, version) for folder, version in _folders(root, membership))
    return [group for group in found if group is not None]


def pressure_file(root: Path = ROOT, membership: Path = MEMBERSHIP) -> Path | None:
    """Where the innermost group tells of stalls for want of memory; None if none does."""
    places = (folder / "memory.pressure" for folder, _ in _folders(root, membership))
    return next((place for place in places if place.is_file()), None)


def read_int(path: Path) -> int | None:
    """The number in a file; None where there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _folders(root: Path, membership: Path) -> Iterator[tuple[Path, _Version]]:
    """The folders of this process's groups, each with those above it.

    Inside a container the path may be one that only the host sees; the mount then shows the
    process's own group at its root.
    """
    for controllers, inside in _memberships(membership):
        if controllers == "":
            top, version = (root / "unified" if (root / "unified").is_dir() else root), _V2
        elif "memory" in controllers.split(","):
            top, version = root / "memory", _V1
        else:
            continue
        folder = top / inside.strip("/")
        while folder != top:
            yield folder, version
            folder = folder.parent
        yield top, version


def _memberships(membership: Path) -> list[tuple[str, str]]:
    """Controllers and path of each hierarchy; where nothing tells, the root of version 2."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        lines = []
    parts = (line.split(":", 2) for line in lines)
    found = [(part[1], part[2]) for part in parts if len(part) == 3 and ".." not in part[2]]
    return found if any(controllers == "" for controllers, _ in found) else [*found, ("", "/")]


def _read(folder: Path, version: _Version) -> GroupMemory | None:
    limit = read_int(folder / version.limit)
    used = read_int(folder / version.used)
    if limit is None or used is None or limit >= _NO_LIMIT:
        return None
    return GroupMemory(limit, used, _reclaimable(folder / "memory.stat", version.reclaimable))


def _reclaimable(place: Path, names: tuple[str, ...]) -> int:
    try:
        rows = dict(line.split(" ", 1) for line in place.read_text().splitlines())
        return sum(int(rows.get(name, 0)) for name in names)
    except (OSError, ValueError):
        return 0
