"""The spaces of the store in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from embedwell.core.errors import StoreError
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray, IntArray, check_vectors
from embedwell.stores.pairs import (
    Searched,
    check_droppable,
    check_splittable,
    check_switchable,
    moved,
    settings_spaces,
)
from embedwell.stores.spaces import (
    EVERYTHING,
    TEXT_ALONE,
    Admission,
    Holds,
    Reference,
    StoredSpace,
)
from embedwell.stores.values import CollectionSettings, FoundChunk
from embedwell.stores.vectors import spread, to_half

_SHOWN = "The store"


class MemorySpaces:
    """`Spaces` by dictionaries; see there for what each method does.

    Args:
        settings: The main one, and the code one of a pair.
        chunk_ids: Gives the ids of all chunks.
        found: Gives a chunk by its id.
    """

    def __init__(
        self,
        settings: CollectionSettings,
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
        for stored in settings_spaces(settings):
            self._add(stored)

    def all(self) -> list[StoredSpace]:
        """All of them, by number."""
        return list(self._spaces.values())

    def main(self) -> StoredSpace:
        """The one that is searched and written now."""
        return next(stored for stored in self.all() if stored.role == "main")

    def code(self) -> StoredSpace | None:
        """The one that code documents are searched and written in now."""
        return next((stored for stored in self.all() if stored.role == "code"), None)

    def searched(self) -> Searched:
        """Both."""
        return Searched(self.main(), self.code())

    def get(self, number: int) -> StoredSpace:
        """One of them."""
        if number not in self._spaces:
            raise moved(_SHOWN, number, self.main())
        return self._spaces[number]

    def add(
        self,
        space: Space,
        role: Literal["light", "next"],
        made_by: str,
        *,
        holds: Holds | None = None,
    ) -> StoredSpace:
        """Make room for vectors of another space."""
        if any(stored.role == role for stored in self.all()):
            raise StoreError(f"There is a space with the role '{role}' already.", "Drop it first.")
        if holds is None:
            holds = EVERYTHING if role == "light" else self.main().holds
        return self._add(StoredSpace(self._last + 1, space, role, made_by, holds))

    def switch(self, number: int, *, keep: bool) -> None:
        """Make a space the main one or the code one, if nothing is missing in it."""
        new, there = self.get(number), self.searched()
        if new in there.both:
            return
        check_switchable(new, self.n_missing(number), there, _SHOWN)
        old = there.code if new.is_of_code else there.main
        if old and keep:
            self._spaces[old.number] = replace(old, role="kept")
        elif old:
            self._forget_space(old.number)
        self._spaces[number] = replace(new, role="code" if new.is_of_code else "main")

    def split(self) -> None:
        """Let the main space hold text alone."""
        there = self.searched()
        check_splittable(there, self.n_missing(there.code.number) if there.code else 0, _SHOWN)
        main = there.main
        self._spaces[main.number] = replace(main, holds=TEXT_ALONE)
        rows = self._rows[main.number]
        self._rows[main.number] = {
            chunk: row for chunk, row in rows.items() if self._found(chunk).kind == "text"
        }

    def drop(self, number: int) -> None:
        """Remove a space with its vectors and its proof."""
        check_droppable(self.get(number), self.main(), _SHOWN)
        self._forget_space(number)

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
        stored, filled = self.get(number), self.rows(number)
        return [
            chunk
            for chunk in sorted(self._chunk_ids())
            if chunk not in filled and self._found(chunk).kind in stored.holds
        ]

    def _forget_space(self, number: int) -> None:
        for by_number in (self._spaces, self._rows, self._references, self._admissions):
            by_number.pop(number, None)

    def _add(self, stored: StoredSpace) -> StoredSpace:
        self._last = stored.number
        self._spaces[stored.number] = stored
        self._rows[stored.number] = {}
        self._admissions[stored.number] = {}
        return stored
