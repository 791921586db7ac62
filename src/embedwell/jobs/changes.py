"""What an index has to do about a folder: a pure comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from embedwell.ingest.walk import Candidate
from embedwell.stores.protocol import Stat


@dataclass(frozen=True)
class Changes:
    """A folder compared with what is stored of it.

    Attributes:
        to_read: New files, and files whose size or time differs.
        n_unchanged: Files that need no more than the look they had.
        gone: Keys that are stored and no longer there.
    """

    to_read: tuple[Candidate, ...]
    n_unchanged: int
    gone: tuple[str, ...]


def compare(found: Iterable[Candidate], stored: Mapping[str, Stat]) -> Changes:
    """Compare by size and modification time, as make and git do."""
    to_read: list[Candidate] = []
    keys: set[str] = set()
    for candidate in found:
        keys.add(candidate.key)
        if not _unchanged(candidate, stored.get(candidate.key)):
            to_read.append(candidate)
    gone = tuple(key for key in stored if key not in keys)
    return Changes(tuple(to_read), len(keys) - len(to_read), gone)


def _unchanged(candidate: Candidate, stat: Stat | None) -> bool:
    return (
        stat is not None
        and stat.mtime_ns == candidate.mtime_ns
        and stat.size_bytes == candidate.size_bytes
    )
