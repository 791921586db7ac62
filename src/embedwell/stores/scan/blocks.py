"""Blocks of compact codes: what a scan goes over, and what is stored as a segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embedwell.core.vectors import IntArray
from embedwell.stores.scan.bits import Columns

BLOCK = 16_384
"""Rows of a stored segment, and of what is scanned at once: all that a scan writes for them stays
in a processor's second cache."""

LARGE = 8 * BLOCK
"""Rows of a full block in memory. numpy asks for huge pages for so large an array (6 MB of 384
dimensions), without which a scan of all blocks takes twice as long."""

FAR = 65_535
"""The distance of rows that may not be found."""

SPARSE = 0.75
"""Share of live rows below which a block is written anew without its dead ones."""


class Block:
    """Rows with ascending ids; dead ones stay until enough are.

    Attributes:
        columns: Sign bits, shape (w, capacity).
        n: Rows in use, from the first.
        n_dead: How many are dead.
        far: `FAR` at dead rows, 0 at others; None where none is dead.
        packed: What a kernel made of its first codes, which never change; None if nothing yet.
    """

    def __init__(self, ids: IntArray, columns: Columns, n: int) -> None:
        self._ids = ids
        self.columns = columns
        self.n = n
        self.n_dead = 0
        self.far: npt.NDArray[np.uint16] | None = None
        self.packed: Any = None

    @classmethod
    def empty(cls, words: int, capacity: int) -> Block:
        """A block with room for so many rows."""
        return cls(np.empty(capacity, np.int64), np.empty((words, capacity), np.uint64), 0)

    @property
    def ids(self) -> IntArray:
        """Ids of its rows, the dead ones too."""
        return self._ids[: self.n]

    @property
    def codes(self) -> Columns:
        """Sign bits of its rows, shape (w, n)."""
        return self.columns[:, : self.n]

    @property
    def room(self) -> int:
        """How many rows may still be added."""
        return len(self._ids) - self.n

    @property
    def n_live(self) -> int:
        """How many rows are live."""
        return self.n - self.n_dead

    @property
    def is_sparse(self) -> bool:
        """Whether so many rows are dead that it should be written anew."""
        return self.n_live < SPARSE * self.n

    def add(self, ids: IntArray, columns: Columns) -> int:
        """Take as many rows as there is room for; returns how many."""
        n = min(self.room, len(ids))
        end = self.n + n
        self._ids[self.n : end] = ids[:n]
        self.columns[:, self.n : end] = columns[:, :n]
        if self.far is not None:
            self.far = np.concatenate([self.far, np.zeros(n, np.uint16)])
        self.n = end
        return n

    def remove(self, ids: IntArray) -> None:
        """Mark rows as dead; ids that are not live are passed over.

        Args:
            ids: int64, ascending.
        """
        positions = self.live(ids)
        if not len(positions):
            return
        if self.far is None:
            self.far = np.zeros(self.n, np.uint16)
        self.far[positions] = FAR
        self.n_dead += len(positions)

    def live(self, ids: IntArray) -> IntArray:
        """Positions of those of some ascending ids that are live."""
        if not self.n:
            return np.empty(0, np.int64)
        start, end = np.searchsorted(ids, (self._ids[0], self._ids[self.n - 1] + 1))
        ids = ids[start:end]
        if self._ids[self.n - 1] - self._ids[0] + 1 == self.n:  # no gaps
            positions = ids - self._ids[0]
        else:
            positions = np.searchsorted(self.ids, ids)
            positions = positions[self._ids[positions] == ids]
        live: IntArray = positions if self.far is None else positions[self.far[positions] == 0]
        return live

    def live_positions(self) -> IntArray:
        """Positions of its live rows."""
        return np.arange(self.n) if self.far is None else np.flatnonzero(self.far == 0)


@dataclass(frozen=True)
class Part:
    """What a search may find in a block: all live rows, or those at some positions."""

    block: Block
    positions: IntArray | None

    @property
    def n(self) -> int:
        """How many distances it gives."""
        return self.block.n if self.positions is None else len(self.positions)

    @property
    def n_live(self) -> int:
        """How many rows may be found."""
        return self.block.n_live if self.positions is None else len(self.positions)

    def at(self, indices: IntArray) -> IntArray:
        """Positions in the block of its distances."""
        return indices if self.positions is None else self.positions[indices]

    def live_ids(self) -> IntArray:
        """Ids of the rows that may be found."""
        positions = self.block.live_positions() if self.positions is None else self.positions
        return self.block.ids[positions]


def tidied(blocks: Sequence[Block]) -> list[Block]:
    """The same live rows in order, with sparse and small neighbours put together."""
    out: list[Block] = []
    filling: Block | None = None
    for block in blocks:
        if not (block.is_sparse or block.n_live < LARGE // 2):
            out.append(block)
            filling = None
            continue
        live = block.live_positions()
        while len(live):
            if filling is None or not filling.room:
                filling = Block.empty(len(block.columns), LARGE)
                out.append(filling)
            live = live[filling.add(block.ids[live], block.columns[:, live]) :]
    return out
