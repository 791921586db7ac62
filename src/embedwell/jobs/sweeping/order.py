"""In which order the rows of a source are worked off: a sample of all first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from embedwell.stores.queue import Item

SAMPLE = 16
"""One of so many rows of each format comes first."""


class Order:
    """Tells which rows come first, over the batches of one sweep.

    Folders are listed one after the other: all code, then all PDFs. What a run costs, and whether
    something is wrong with a source, is known much sooner when its first rows come from everywhere.
    """

    def __init__(self) -> None:
        self._n: Counter[str] = Counter()

    def split(self, items: Iterable[Item]) -> tuple[list[Item], list[Item]]:
        """The sample among the next rows, and the others; each in their order."""
        first: list[Item] = []
        rest: list[Item] = []
        for item in items:
            (rest if self._n[item.format] % SAMPLE else first).append(item)
            self._n[item.format] += 1
        return first, rest
