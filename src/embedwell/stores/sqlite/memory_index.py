"""The index in memory: loaded from segments, then following what is added and removed."""

from __future__ import annotations

import json

import numpy as np

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.scan.bits import HalfArray
from embedwell.stores.scan.held import Held
from embedwell.stores.sqlite import segments, statements
from embedwell.stores.sqlite.database import Database
from embedwell.stores.sqlite.statements import of_space
from embedwell.stores.values import Scored

ALL = 2**63
"""More rows than there can be: all values are held whatever their number."""


class MemoryIndex:
    """`Index` in memory: compact codes, or all values of up to `exact_rows` rows.

    Args:
        kind: What it is, for people.
        database: The open file.
        space: Number of the space.
        dimensions: d.
        exact_rows: Up to how many rows all values are held.
    """

    def __init__(
        self, kind: str, database: Database, space: int, dimensions: int, exact_rows: int
    ) -> None:
        self.kind = kind
        self._database = database
        self._space = space
        self._dimensions = dimensions
        self._exact_rows = exact_rows
        self._vectors_of = of_space(statements.VECTORS_OF, space)
        self._held = Held(dimensions, self.fetch, exact_rows)
        self._generation = -1
        self._seen_removal = 0
        self._version: object = None

    def follow(self) -> None:
        """Load all at first and where the generation is another; else only what changed."""
        version = self._database.version
        if version == self._version:
            return
        generation: int = self._database.value(statements.GENERATION, (self._space,))
        if generation != self._generation:
            self._load()
        removed, self._seen_removal = segments.removed_since(
            self._database, self._space, self._seen_removal
        )
        self._held.remove(removed)
        self._append_tail()
        self._generation, self._version = generation, version

    def nearest(self, vector: FloatArray, k: int, allowed: IntArray | None) -> Scored:
        """The k highest cosines; see `Index`."""
        return self._held.nearest(vector, k, allowed)

    def fetch(self, ids: IntArray) -> HalfArray:
        """Stored vectors of ids, in their order: float16, shape (len(ids), d)."""
        rows = self._database.rows(self._vectors_of, (json.dumps(ids.tolist()),))
        return segments.halves_in(self._database, [blob for (blob,) in rows], self._dimensions)

    def _load(self) -> None:
        self._generation = -1  # until all is loaded
        self._held = Held(self._dimensions, self.fetch, self._exact_rows)
        self._seen_removal = 0
        if self._exact_rows < ALL:
            for last, ids, codes in segments.segments(self._database, self._space):
                self._held.append_segment(last, ids, codes)

    def _append_tail(self) -> None:
        after = max(self._held.last_id, segments.BEFORE_ALL)
        batches = segments.vectors_after(self._database, self._space, self._dimensions, after)
        if self._exact_rows < ALL:
            for ids, halves in batches:
                self._held.append(ids, halves)
        elif together := list(batches):  # growing in steps would copy all for each
            self._held.append(*(np.concatenate(part) for part in zip(*together, strict=True)))
