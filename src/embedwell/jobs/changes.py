"""What has to be done about a source: a pure comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from embedwell.stores.protocol import Stat
from embedwell.stores.queue import Item


@dataclass(frozen=True)
class Changes:
    """A source compared with what is stored and queued of it.

    Attributes:
        to_read: New ones, and those whose size or time differs.
        n_waiting: Those that are queued as they are.
        n_unchanged: Those that need no more than the look they had.
        gone: Keys that are stored or queued and no longer there.
    """

    to_read: tuple[Item, ...]
    n_waiting: int
    n_unchanged: int
    gone: tuple[str, ...]

    @property
    def n_found(self) -> int:
        """All that the source holds."""
        return len(self.to_read) + self.n_waiting + self.n_unchanged


def compare(
    found: Iterable[Item],
    stored: Mapping[str, Stat],
    waiting: Mapping[str, tuple[int, int]] | None = None,
) -> Changes:
    """Compare by size and modification time, as make and git do.

    Args:
        found: What the source holds; an item that is to be stored anew is never unchanged.
        stored: What is stored of it, by key.
        waiting: Size and time of what is queued of it, by key.
    """
    waiting = waiting or {}
    to_read: list[Item] = []
    n_waiting = n_unchanged = 0
    gone = dict.fromkeys((*stored, *waiting))  # as it holds no key a second time, memory is saved
    for item in found:
        gone.pop(item.key, None)
        if item.anew:
            to_read.append(item)
        elif waiting.get(item.key) == (item.size_bytes, item.mtime_ns):
            n_waiting += 1
        elif not _unchanged(item, stored.get(item.key)):
            to_read.append(item)
        else:
            n_unchanged += 1
    return Changes(tuple(to_read), n_waiting, n_unchanged, tuple(gone))


def _unchanged(item: Item, stat: Stat | None) -> bool:
    return (
        stat is not None and stat.mtime_ns == item.mtime_ns and stat.size_bytes == item.size_bytes
    )
