"""What has to be done about a source: a pure comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from embedwell.ingest.walk import Skipped
from embedwell.stores.protocol import Stat
from embedwell.stores.queue import Item


class Comparison:
    """A source compared with what is stored and queued of it, one item after another.

    By size and modification time, as make and git do.

    Args:
        stored: What is stored of it, by key.
        waiting: Size and time of what is queued of it, by key.
        unstored: Keys of what was read and could not be stored.

    Attributes:
        n_to_read: New ones, and those whose size or time differs.
        n_waiting: Those that are queued as they are.
        n_unchanged: Those that need no more than the look they had.
    """

    def __init__(
        self,
        stored: Mapping[str, Stat],
        waiting: Mapping[str, tuple[int, int]] | None = None,
        unstored: Iterable[str] = (),
    ) -> None:
        self._stored = stored
        self._waiting = waiting or {}
        # As it holds no key a second time, memory is saved.
        self._unseen = dict.fromkeys((*stored, *self._waiting, *unstored))
        self.n_to_read = self.n_waiting = self.n_unchanged = 0

    @property
    def n_found(self) -> int:
        """All that the source has listed so far."""
        return self.n_to_read + self.n_waiting + self.n_unchanged

    @property
    def unseen(self) -> tuple[str, ...]:
        """Keys that are known and were not listed so far."""
        return tuple(self._unseen)

    def lacks(self, key: str) -> bool:
        """Whether a key is known and was not listed so far."""
        return key in self._unseen

    def spare(self, told: Iterable[Skipped]) -> frozenset[str]:
        """Take what should have been listed and could not be for seen: it stays as it is.

        Returns:
            Keys, of files and of folders, of which something is known.
        """
        spared = set()
        for one in told:
            if one.fate not in {"failed", "unlisted"}:
                continue
            known = [one.key] if one.key in self._unseen else []
            if one.key.endswith("/"):
                known = [key for key in self._unseen if key.startswith(one.key)]
            for key in known:
                del self._unseen[key]
            if known:
                spared.add(one.key)
        return frozenset(spared)

    def has_to_be_read(self, item: Item) -> bool:
        """Count an item; one that is to be stored anew is never unchanged."""
        self._unseen.pop(item.key, None)
        if not item.anew:
            if self._waiting.get(item.key) == (item.size_bytes, item.mtime_ns):
                self.n_waiting += 1
                return False
            if self._stored.get(item.key) == Stat(item.size_bytes, item.mtime_ns):
                self.n_unchanged += 1
                return False
        self.n_to_read += 1
        return True


@dataclass(frozen=True)
class Changes:
    """What differs between a source and what is stored of it.

    Attributes:
        to_read: New ones, and those whose size or time differs.
        gone: Keys that are stored and no longer there.
    """

    to_read: tuple[Item, ...]
    gone: tuple[str, ...]


def compare(
    found: Iterable[Item], stored: Mapping[str, Stat], told: Sequence[Skipped] = ()
) -> Changes:
    """Compare a whole source with what is stored of it, by key.

    Args:
        found: What it lists.
        stored: What is stored.
        told: What it could not list; filled while `found` is run through.
    """
    comparison = Comparison(stored)
    to_read = tuple(item for item in found if comparison.has_to_be_read(item))
    comparison.spare(told)
    return Changes(to_read, comparison.unseen)
