"""The spaces of a collection in a SQLite file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from embedwell.core.build import BuildRecord
from embedwell.core.errors import StoreError
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray, IntArray, check_vectors
from embedwell.stores.pairs import (
    Searched,
    check_droppable,
    check_splittable,
    check_switchable,
    moved,
)
from embedwell.stores.spaces import (
    EVERYTHING,
    TEXT_ALONE,
    Admission,
    Holds,
    Reference,
    Role,
    StoredSpace,
)
from embedwell.stores.sqlite import faults, segments, statements
from embedwell.stores.sqlite.database import Database, Row
from embedwell.stores.sqlite.rows import found_chunk
from embedwell.stores.sqlite.statements import of_space
from embedwell.stores.values import FoundChunk
from embedwell.stores.vectors import spread, to_half

FIRST = 1
"""Number of the first space of a file."""

_SAMPLE_FACTOR = 4  # so many times the wanted ids are looked up, for gaps between ids


class SqliteSpaces:
    """`Spaces` of one collection; see there for what each method does."""

    def __init__(self, database: Database, collection: int) -> None:
        self._database = database
        self._collection = collection
        self._known: tuple[object, list[StoredSpace]] = (None, [])

    def all(self) -> list[StoredSpace]:
        """All of them, by number; read anew only where the file changed."""
        version = self._database.version
        if self._known[0] != version:
            rows = self._database.rows(statements.SPACES, (self._collection,))
            self._known = version, [_stored_space(row) for row in rows]
        return list(self._known[1])

    def main(self) -> StoredSpace:
        """The one that is searched and written now."""
        for stored in self.all():
            if stored.role == "main":
                return stored
        raise faults.damaged(self._database.path, "without a main space")

    def code(self) -> StoredSpace | None:
        """The one that code documents are searched and written in now."""
        return next((stored for stored in self.all() if stored.role == "code"), None)

    def searched(self) -> Searched:
        """Both."""
        return Searched(self.main(), self.code())

    def get(self, number: int) -> StoredSpace:
        """One of them."""
        for stored in self.all():
            if stored.number == number:
                return stored
        raise moved(str(self._database.path), number, self.main())

    def add(
        self,
        space: Space,
        role: Literal["light", "next"],
        made_by: str,
        *,
        holds: Holds | None = None,
    ) -> StoredSpace:
        """Make room for vectors of another space."""
        with self._database.transaction():
            if taken := [stored for stored in self.all() if stored.role == role]:
                raise StoreError(
                    f"{self._database.path} has a space with the role '{role}' already "
                    f"({taken[0].space.model}, number {taken[0].number}).",
                    "Finish what it was made for, or drop it.",
                )
            if holds is None:
                holds = EVERYTHING if role == "light" else self.main().holds
            wanted = StoredSpace(0, space, role, made_by, holds)
            return add_space(self._database, self._collection, wanted)

    def switch(self, number: int, *, keep: bool) -> None:
        """Make a space the main one or the code one, if nothing is missing in it."""
        with self._database.transaction():
            new, there = self.get(number), self.searched()
            if new in there.both:
                return
            check_switchable(new, self.n_missing(number), there, str(self._database.path))
            if old := there.code if new.is_of_code else there.main:
                self._set_role(old.number, "kept", "kept")
            role: Role = "code" if new.is_of_code else "main"
            self._set_role(number, role, f"switched to as {role}")
            if old and not keep:
                self._drop(old.number)

    def split(self) -> None:
        """Let the main space hold text alone."""
        with self._database.transaction():
            there = self.searched()
            n_missing = self.n_missing(there.code.number) if there.code else 0
            check_splittable(there, n_missing, str(self._database.path))
            number = there.main.number
            if there.main.holds == TEXT_ALONE:
                return
            self._database.rows(statements.SET_HOLDS, (",".join(TEXT_ALONE), number))
            tell(self._database, number, "holds text alone")
            self._database.rows(of_space(statements.DELETE_MISPLACED, number, TEXT_ALONE))
            segments.rewrite(self._database, number, there.main.space.dimensions)

    def drop(self, number: int) -> None:
        """Remove a space with its vectors and its proof."""
        with self._database.transaction():
            check_droppable(self.get(number), self.main(), str(self._database.path))
            self._drop(number)

    def n_missing(self, number: int) -> int:
        """How many chunks have no vector in a space."""
        with self._database.snapshot():
            holds = self.get(number).holds
            n: int = self._database.value(of_space(statements.N_MISSING, number, holds))
            return n

    def missing(self, number: int, after: int, n: int) -> list[FoundChunk]:
        """The first n chunks with an id above `after` that have no vector, by id."""
        with self._database.snapshot():
            statement = of_space(statements.MISSING, number, self.get(number).holds)
            rows = self._database.rows(statement, (int(after), n))
            return [found_chunk(row) for row in rows]

    def fill(self, number: int, ids: IntArray, vectors: FloatArray) -> int:
        """Store vectors of chunks that are there and have none yet."""
        with self._database.transaction():
            stored = self.get(number)
            halves = to_half(vectors, len(ids), stored.space.dimensions)
            wanted = json.dumps(np.asarray(ids).tolist())
            without = of_space(statements.WITHOUT_VECTOR, number, stored.holds)
            rows = self._database.rows(without, (wanted,))
            new = {chunk for (chunk,) in rows}
            if not new:
                return 0
            self._tell_of_holes(number, min(new))
            at = {int(chunk): row for row, chunk in enumerate(ids) if int(chunk) in new}
            statement = of_space(statements.ADD_VECTOR, number)
            added = [(chunk, halves[at[chunk]].astype("<f2").tobytes()) for chunk in sorted(new)]
            n = self._database.change(statement, added)
            segments.keep_up(self._database, number, halves.shape[1])
            return n

    def sample(self, number: int, n: int, *, after: int = 0) -> IntArray:
        """Ids of at most n chunks with a vector, spread over all of them, ascending."""
        wide = _SAMPLE_FACTOR * n
        with self._database.snapshot():
            self.get(number)
            first = of_space(statements.FIRST_VECTOR_IDS, number)
            rows = self._database.rows(first, (after, wide + 1))
            if len(rows) > wide:
                ends = of_space(statements.VECTOR_ID_RANGE, number)
                low, high = self._database.rows(ends, (after,))[0]
                points = json.dumps(np.linspace(low, high, wide).astype(np.int64).tolist())
                rows = self._database.rows(of_space(statements.VECTOR_IDS_FROM, number), (points,))
        return spread(np.fromiter((chunk for (chunk,) in rows), np.int64, len(rows)), n)

    def sample_documents(self, number: int, n: int, *, after: int = 0) -> IntArray:
        """Ids of the middle chunks of at most n documents, ascending."""
        with self._database.snapshot():
            self.get(number)
            ends = of_space(statements.VECTOR_ID_RANGE, number)
            low, high = self._database.rows(ends, (after,))[0]
            if low is None:
                return np.empty(0, np.int64)
            points = np.linspace(low - 1, high, _SAMPLE_FACTOR * n).astype(np.int64).tolist()
            values = {"points": json.dumps(points), "after": int(after)}
            middle = of_space(statements.MIDDLE_CHUNKS_FROM, number)
            rows = self._database.rows(middle, values)
        return spread(np.fromiter((chunk for (chunk,) in rows), np.int64, len(rows)), n)

    def vectors(self, number: int, ids: IntArray) -> FloatArray:
        """Vectors as they are stored; a NaN row where there is none of the right length."""
        with self._database.snapshot():
            dimensions = self.get(number).space.dimensions
            wanted = json.dumps(np.asarray(ids).tolist())
            rows = self._database.rows(of_space(statements.VECTORS, number), (wanted,))
        stored = {chunk: blob for chunk, blob in rows if len(blob) == 2 * dimensions}
        vectors = np.full((len(ids), dimensions), np.nan, np.float32)
        for at, chunk in enumerate(np.asarray(ids).tolist()):
            if chunk in stored:
                vectors[at] = np.frombuffer(stored[chunk], "<f2")
        return vectors

    def reference(self, number: int) -> Reference | None:
        """What builds are measured against."""
        with self._database.snapshot():
            dimensions = self.get(number).space.dimensions
            rows = self._database.rows(statements.REFERENCE, (number,))
        if not rows:
            return None
        probes, blob, build = rows[0]
        vectors = np.frombuffer(blob, "<f4").astype(np.float32).reshape(-1, dimensions)
        return Reference(probes, vectors, BuildRecord.from_json(build))

    def refer(self, number: int, reference: Reference) -> Reference:
        """Set the reference of a space that has none; gives the one that it has now."""
        with self._database.transaction():
            vectors = np.asarray(reference.vectors, "<f4")
            check_vectors(vectors, self.get(number).space.dimensions)
            row = (number, reference.probes, vectors.tobytes(), reference.build.to_json())
            self._database.rows(statements.ADD_REFERENCE, row)
            return self.reference(number) or reference

    def admissions(self, number: int) -> Sequence[Admission]:
        """Who was admitted, the first one first."""
        with self._database.snapshot():
            self.get(number)
            return [
                _admission(row) for row in self._database.rows(statements.ADMISSIONS, (number,))
            ]

    def admission(self, number: int, build_key: str) -> Admission | None:
        """The admission of a build by the key of its record."""
        with self._database.snapshot():
            self.get(number)
            rows = self._database.rows(statements.ADMISSION, (number, build_key))
        return _admission(rows[0]) if rows else None

    def admit(self, number: int, admission: Admission) -> None:
        """Record an admission, in place of an earlier one of the same build."""
        build = admission.build
        values = (admission.drift_mean, admission.drift_worst, admission.accepted, admission.at)
        with self._database.transaction():
            self.get(number)
            self._database.rows(statements.ADMIT, (number, build.key, build.to_json(), *values))

    def _tell_of_holes(self, number: int, lowest: int) -> None:
        """Readers follow by growing ids; where an earlier one comes, they must load all again."""
        last = self._database.value(of_space(statements.LAST_VECTOR_ID, number))
        if last is not None and lowest < last:
            self._database.rows(statements.DROP_SEGMENTS_FROM, (number, lowest))
            self._database.rows(statements.RAISE_GENERATION, (number,))

    def _set_role(self, number: int, role: Role, event: str) -> None:
        self._database.rows(statements.SET_ROLE, (role, number))
        tell(self._database, number, event)

    def _drop(self, number: int) -> None:
        self._database.rows(of_space(statements.DROP_VECTORS, number))
        self._database.rows(statements.DROP_SPACE, (number,))
        tell(self._database, number, "dropped")


def add_space(database: Database, collection: int, wanted: StoredSpace) -> StoredSpace:
    """Write a space down, with a table for its vectors; gives it with its number."""
    space = wanted.space
    row = (collection, wanted.role, space.id, space.to_json(), space.dimensions, wanted.made_by)
    number = database.insert(statements.ADD_SPACE, (*row, ",".join(wanted.holds)))
    if number > FIRST:  # whose table is in the schema
        for statement in (statements.CREATE_VECTORS, statements.CREATE_TRIGGER):
            database.rows(of_space(statement, number))
    tell(database, number, f"added as {wanted.role}")
    return replace(wanted, number=number)


def tell(database: Database, number: int, event: str) -> None:
    """Add to the history of the spaces."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    database.rows(statements.ADD_EVENT, (now, number, event))


def _stored_space(row: Row) -> StoredSpace:
    number, declaration, role, made_by, holds = row
    return StoredSpace(number, Space.from_json(declaration), role, made_by, tuple(holds.split(",")))


def _admission(row: Row) -> Admission:
    return Admission(BuildRecord.from_json(row[0]), *row[1:])
