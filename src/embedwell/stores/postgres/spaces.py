"""The spaces of a collection in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from embedwell.core.build import BuildRecord
from embedwell.core.errors import SpaceMovedError, StoreError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray, IntArray, check_vectors
from embedwell.stores.postgres import statements
from embedwell.stores.postgres.database import Database, Row
from embedwell.stores.postgres.hnsw import Hnsw
from embedwell.stores.postgres.rows import found_chunk
from embedwell.stores.postgres.statements import of_space
from embedwell.stores.postgres.vectors import Vectors
from embedwell.stores.spaces import Admission, Reference, Role, StoredSpace
from embedwell.stores.values import FoundChunk
from embedwell.stores.vectors import spread, to_half

_SAMPLE_FACTOR = 4  # so many times the wanted ids are looked up, for gaps between ids


class PostgresSpaces:
    """`Spaces` of one collection; see there for what each method does."""

    def __init__(self, database: Database, collection: int, vectors: Vectors) -> None:
        self._database = database
        self._collection = collection
        self._vectors = vectors

    def all(self) -> list[StoredSpace]:
        """All of them, by number."""
        rows = self._database.rows(statements.SPACES, (self._collection,))
        return [_stored_space(row) for row in rows]

    def main(self) -> StoredSpace:
        """The one that is searched and written now."""
        return _main_of(self.all(), self._database.shown)

    def get(self, number: int) -> StoredSpace:
        """One of them."""
        there = self.all()
        for stored in there:
            if stored.number == number:
                return stored
        raise moved(self._database.shown, number, _main_of(there, self._database.shown))

    def kept_main(self) -> StoredSpace:
        """The main one, which stays that until the transaction under way has ended."""
        rows = self._database.rows(statements.KEEP_MAIN, (self._collection,))
        return _main_of([_stored_space(row) for row in rows], self._database.shown)

    def add(self, space: Space, role: Literal["light", "next"], made_by: str) -> StoredSpace:
        """Make room for vectors of another space."""
        with self._database.transaction():
            self._lock()
            if taken := [stored for stored in self.all() if stored.role == role]:
                raise StoreError(
                    f"{self._database.shown} has a space with the role '{role}' already "
                    f"({taken[0].space.model}, number {taken[0].number}).",
                    "Finish what it was made for, or drop it.",
                )
            number = add_space(self._database, self._collection, space, role, made_by)
            return StoredSpace(number, space, role, made_by)

    def switch(self, number: int, *, keep: bool) -> None:
        """Make a space the main one, if nothing is missing in it."""
        wanted = self.get(number)
        if wanted.role == "main":
            return
        Hnsw(self._database).ensure(number, wanted.space.dimensions, Watch())
        with self._database.transaction():
            self._lock()
            old, new = self.main(), self.get(number)
            if n_missing := self.n_missing(number):
                raise StoreError(
                    f"{n_missing} chunks of {self._database.shown} have no vector of "
                    f"{new.space.model} (space {number}) yet.",
                    "Fill them in, then switch.",
                )
            self._set_role(old.number, "kept", "kept")
            self._set_role(number, "main", "switched to")
            show_main(self._database)
            self._database.change(of_space(statements.EMBED_DOCUMENTS, number), (self._collection,))
            if not keep:
                self._drop(old.number)

    def drop(self, number: int) -> None:
        """Remove a space with its vectors and its proof."""
        with self._database.transaction():
            self._lock()
            if self.get(number).role == "main":
                raise StoreError(
                    f"Space {number} of {self._database.shown} is the one that is searched.",
                    "Switch to another one first.",
                )
            self._drop(number)

    def n_missing(self, number: int) -> int:
        """How many chunks have no vector in a space."""
        with self._database.snapshot():
            self.get(number)
            n: int = self._database.value(of_space(statements.N_MISSING, number))
            return n

    def missing(self, number: int, after: int, n: int) -> list[FoundChunk]:
        """The first n chunks with an id above `after` that have no vector, by id."""
        with self._database.snapshot():
            self.get(number)
            rows = self._database.rows(of_space(statements.MISSING, number), (int(after), n))
            return [found_chunk(row) for row in rows]

    def fill(self, number: int, ids: IntArray, vectors: FloatArray) -> int:
        """Store vectors of chunks that are there and have none yet."""
        wanted = np.asarray(ids, np.int64)
        with self._database.transaction():
            halves = to_half(vectors, len(wanted), self.get(number).space.dimensions)
            there = self._database.rows(statements.KEEP_CHUNKS, (wanted.tolist(),))
            filled = self._database.rows(
                of_space(statements.VECTOR_IDS, number), (wanted.tolist(),)
            )
            new = np.array(sorted({row[0] for row in there} - {row[0] for row in filled}), np.int64)
            _, first, at = np.intersect1d(new, wanted, return_indices=True)
            self._vectors.add(number, new[first], halves[at])
            return len(new)

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
                points = np.linspace(low, high, wide).astype(np.int64).tolist()
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
            values = {"points": points, "after": int(after)}
            rows = self._database.rows(statements.MIDDLE_CHUNKS_FROM, values)
        return spread(np.fromiter((chunk for (chunk,) in rows), np.int64, len(rows)), n)

    def vectors(self, number: int, ids: IntArray) -> FloatArray:
        """Vectors as they are stored; a NaN row where there is none."""
        with self._database.snapshot():
            dimensions = self.get(number).space.dimensions
            return self._vectors.stored(number, ids, dimensions)

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
            self._database.change(statements.ADD_REFERENCE, row)
            return self.reference(number) or reference

    def admissions(self, number: int) -> Sequence[Admission]:
        """Who was admitted, the first one first."""
        with self._database.snapshot():
            self.get(number)
            rows = self._database.rows(statements.ADMISSIONS, (number,))
            return [_admission(row) for row in rows]

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
            self._database.change(statements.ADMIT, (number, build.key, build.to_json(), *values))

    def _lock(self) -> None:
        """Wait for those who write, and let nobody change the spaces until the end."""
        self._database.rows(statements.LOCK_SPACES, (self._collection,))

    def _set_role(self, number: int, role: Role, event: str) -> None:
        self._database.change(statements.SET_ROLE, (role, number))
        tell(self._database, number, event)

    def _drop(self, number: int) -> None:
        self._database.change(of_space(statements.DROP_VECTORS, number))
        self._database.change(statements.DROP_SPACE, (number,))
        tell(self._database, number, "dropped")


def add_space(database: Database, collection: int, space: Space, role: Role, made_by: str) -> int:
    """Write a space down and make the table of its vectors; gives its number."""
    row = (collection, role, space.id, space.to_json(), space.dimensions, made_by)
    number: int = database.value(statements.ADD_SPACE, row)
    create = of_space(statements.CREATE_VECTORS, number)
    database.change(create.replace("{dimensions}", f"{space.dimensions:d}"))
    tell(database, number, f"added as {role}")
    return number


def show_main(database: Database) -> None:
    """Let the view of the vectors that are searched show the main spaces' as of now."""
    numbers = [number for (number,) in database.rows(statements.MAIN_NUMBERS)]
    parts = [of_space(statements.OF_MAIN, number) for number in numbers]
    database.change(statements.SHOW_MAIN + " UNION ALL ".join(parts))


def tell(database: Database, number: int, event: str) -> None:
    """Add to the history of the spaces."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    database.change(statements.ADD_EVENT, (now, number, event))


def moved(shown: str, number: int, main: StoredSpace) -> SpaceMovedError:
    """A space that is gone, or not the main one any more."""
    return SpaceMovedError(
        f"{shown} has gone over from its vector space {number} to {main.number} "
        f"({main.space.model}).",
        "Open it again.",
    )


def _main_of(there: Sequence[StoredSpace], shown: str) -> StoredSpace:
    for stored in there:
        if stored.role == "main":
            return stored
    raise StoreError(
        f"The index in {shown} is damaged (without a main space).", "Restore a backup."
    )


def _stored_space(row: Row) -> StoredSpace:
    number, declaration, role, made_by = row
    return StoredSpace(number, Space.from_json(declaration), role, made_by)


def _admission(row: Row) -> Admission:
    return Admission(BuildRecord.from_json(row[0]), *row[1:])
