"""The spaces of the store in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from embedwell.core.errors import SpaceMovedError, StoreError
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray, IntArray, check_vectors
from embedwell.stores.spaces import Admission, Reference, StoredSpace
from embedwell.stores.values import FoundChunk
from embedwell.stores.vectors import spread, to_half


class MemorySpaces:
    """`Spaces` by dictionaries; see there for what each method does.

    Args:
        space: The main one.
        made_by: Who made it.
        chunk_ids: Gives the ids of all chunks.
        found: Gives a chunk by its id.
    """

    def __init__(
        self,
        space: Space,
        made_by: str,
        chunk_ids: Callable[[], Iterable[int]],
        found: Callable[[int], FoundChunk],
    ) -> None:
        self._chunk_ids = chunk_ids
        self._found = found
        self._last = 0
        self._spaces: dict[int, StoredSpace] = {}
        self._rows: dict[int, dict[int, FloatArray]] = {}
        self._references: dict[int, Reference] = {}
        self._admissions: dict[int, dict[str, Admission]] = {}
        self._add(StoredSpace(1, space, "main", made_by))

    def all(self) -> list[StoredSpace]:
        """All of them, by number."""
        return list(self._spaces.values())

    def main(self) -> StoredSpace:
        """The one that is searched and written now."""
        return next(stored for stored in self.all() if stored.role == "main")

    def get(self, number: int) -> StoredSpace:
        """One of them."""
        if number not in self._spaces:
            raise moved(number, self.main())
        return self._spaces[number]

    def add(self, space: Space, role: Literal["light", "next"], made_by: str) -> StoredSpace:
        """Make room for vectors of another space."""
        if any(stored.role == role for stored in self.all()):
            raise StoreError(f"There is a space with the role '{role}' already.", "Drop it first.")
        return self._add(StoredSpace(self._last + 1, space, role, made_by))

    def switch(self, number: int, *, keep: bool) -> None:
        """Make a space the main one, if nothing is missing in it."""
        old, new = self.main(), self.get(number)
        if new.number == old.number:
            return
        if n_missing := self.n_missing(number):
            raise StoreError(
                f"{n_missing} chunks have no vector of {new.space.model} (space {number}) yet.",
                "Fill them in, then switch.",
            )
        self._spaces[old.number] = replace(old, role="kept")
        self._spaces[number] = replace(new, role="main")
        if not keep:
            self.drop(old.number)

    def drop(self, number: int) -> None:
        """Remove a space with its vectors and its proof."""
        if self.get(number).role == "main":
            raise StoreError(
                f"Space {number} is the one that is searched.", "Switch to another one first."
            )
        for by_number in (self._spaces, self._rows, self._references, self._admissions):
            by_number.pop(number, None)

    def n_missing(self, number: int) -> int:
        """How many chunks have no vector in a space."""
        return len(self._missing_ids(number))

    def missing(self, number: int, after: int, n: int) -> list[FoundChunk]:
        """The first n chunks with an id above `after` that have no vector, by id."""
        ids = [chunk for chunk in self._missing_ids(number) if chunk > after]
        return [self._found(chunk) for chunk in ids[:n]]

    def fill(self, number: int, ids: IntArray, vectors: FloatArray) -> int:
        """Store vectors of chunks that are there and have none yet."""
        halves = to_half(vectors, len(ids), self.get(number).space.dimensions)
        new = set(self._missing_ids(number)) & set(np.asarray(ids).tolist())
        rows = zip(np.asarray(ids).tolist(), halves.astype(np.float32), strict=True)
        self.store(number, {chunk: row for chunk, row in rows if chunk in new})
        return len(new)

    def sample(self, number: int, n: int, *, after: int = 0) -> IntArray:
        """Ids of at most n chunks with a vector, spread over all of them, ascending."""
        ids = sorted(chunk for chunk in self.rows(number) if chunk > after)
        return spread(np.array(ids, np.int64), n)

    def sample_documents(self, number: int, n: int, *, after: int = 0) -> IntArray:
        """Ids of the middle chunks of at most n documents, ascending."""
        of_document: dict[str, list[int]] = {}
        for chunk in sorted(chunk for chunk in self.rows(number) if chunk > after):
            of_document.setdefault(self._found(chunk).key, []).append(chunk)
        middle = sorted(chunks[(len(chunks) - 1) // 2] for chunks in of_document.values())
        return spread(np.array(middle, np.int64), n)

    def vectors(self, number: int, ids: IntArray) -> FloatArray:
        """Vectors as they are stored; a NaN row where there is none."""
        none = np.full(self.get(number).space.dimensions, np.nan, np.float32)
        rows = [self._rows[number].get(chunk, none) for chunk in np.asarray(ids).tolist()]
        return np.array(rows, np.float32).reshape(len(ids), len(none))

    def reference(self, number: int) -> Reference | None:
        """What builds are measured against."""
        self.get(number)
        return self._references.get(number)

    def refer(self, number: int, reference: Reference) -> Reference:
        """Set the reference of a space that has none; gives the one that it has now."""
        check_vectors(reference.vectors, self.get(number).space.dimensions)
        return self._references.setdefault(number, reference)

    def admissions(self, number: int) -> Sequence[Admission]:
        """Who was admitted, the first one first."""
        self.get(number)
        return list(self._admissions[number].values())

    def admission(self, number: int, build_key: str) -> Admission | None:
        """The admission of a build by the key of its record."""
        self.get(number)
        return self._admissions[number].get(build_key)

    def admit(self, number: int, admission: Admission) -> None:
        """Record an admission, in place of an earlier one of the same build."""
        self.get(number)
        self._admissions[number][admission.build.key] = admission

    def rows(self, number: int) -> dict[int, FloatArray]:
        """The vectors of a space (float32, rounded to float16) by chunk."""
        self.get(number)
        return self._rows[number]

    def store(self, number: int, rows: dict[int, FloatArray]) -> None:
        """Keep vectors that were checked."""
        self._rows[number] |= rows

    def forget(self, chunk: int) -> None:
        """Remove a chunk's vectors from every space."""
        for rows in self._rows.values():
            rows.pop(chunk, None)

    def _missing_ids(self, number: int) -> list[int]:
        held = self.rows(number)
        return [chunk for chunk in sorted(self._chunk_ids()) if chunk not in held]

    def _add(self, stored: StoredSpace) -> StoredSpace:
        self._last = stored.number
        self._spaces[stored.number] = stored
        self._rows[stored.number] = {}
        self._admissions[stored.number] = {}
        return stored


def moved(number: int, main: StoredSpace) -> SpaceMovedError:
    """A space that is gone, or not the main one any more."""
    return SpaceMovedError(
        f"The store has gone over from its vector space {number} to {main.number} "
        f"({main.space.model}).",
        "Open it again.",
    )
