"""The spaces of a collection in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from embedwell.core.build import BuildRecord
from embedwell.core.errors import StoreError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray, IntArray, check_vectors
from embedwell.stores.pairs import (
    Searched,
    check_droppable,
    check_splittable,
    check_switchable,
    moved,
)
from embedwell.stores.postgres import statements
from embedwell.stores.postgres.database import Database, Row
from embedwell.stores.postgres.hnsw import Hnsw
from embedwell.stores.postgres.rows import found_chunk
from embedwell.stores.postgres.statements import of_space
from embedwell.stores.postgres.vectors import Vectors
from embedwell.stores.spaces import (
    CODE_ALONE,
    EVERYTHING,
    TEXT_ALONE,
    Admission,
    Holds,
    Reference,
    Role,
    StoredSpace,
)
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

    def code(self) -> StoredSpace | None:
        """The one that code documents are searched and written in now."""
        return _code_of(self.all())

    def searched(self) -> Searched:
        """Both."""
        there = self.all()
        return Searched(_main_of(there, self._database.shown), _code_of(there))

    def kept(self) -> Searched:
        """Both, which stay that until the transaction under way has ended."""
        self._database.rows(statements.KEEP_SPACES, (self._collection,))
        return self.searched()

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
            self._lock()
            if taken := [stored for stored in self.all() if stored.role == role]:
                raise StoreError(
                    f"{self._database.shown} has a space with the role '{role}' already "
                    f"({taken[0].space.model}, number {taken[0].number}).",
                    "Finish what it was made for, or drop it.",
                )
            if holds is None:
                holds = EVERYTHING if role == "light" else self.main().holds
            wanted = StoredSpace(0, space, role, made_by, holds)
            return add_space(self._database, self._collection, wanted)

    def switch(self, number: int, *, keep: bool) -> None:
        """Make a space the main one or the code one, if nothing is missing in it."""
        wanted = self.get(number)
        if wanted.role in {"main", "code"}:
            return
        Hnsw(self._database).ensure(number, wanted.space.dimensions, Watch())
        with self._database.transaction():
            self._lock()
            new, there = self.get(number), self.searched()
            check_switchable(new, self.n_missing(number), there, self._database.shown)
            if old := there.code if new.is_of_code else there.main:
                self._set_role(old.number, "kept", "kept")
            role: Role = "code" if new.is_of_code else "main"
            self._set_role(number, role, f"switched to as {role}")
            self._show(role)
            if old and not keep:
                self._drop(old.number)

    def split(self) -> None:
        """Let the main space hold text alone."""
        with self._database.transaction():
            self._lock()
            there = self.searched()
            n_missing = self.n_missing(there.code.number) if there.code else 0
            check_splittable(there, n_missing, self._database.shown)
            number = there.main.number
            if there.main.holds == TEXT_ALONE:
                return
            self._database.change(statements.SET_HOLDS, (",".join(TEXT_ALONE), number))
            tell(self._database, number, "holds text alone")
            self._database.change(of_space(statements.DELETE_MISPLACED, number, TEXT_ALONE))

    def drop(self, number: int) -> None:
        """Remove a space with its vectors and its proof."""
        with self._database.transaction():
            self._lock()
            stored = self.get(number)
            check_droppable(stored, self.main(), self._database.shown)
            if stored.role == "code":
                self._set_role(number, "kept", "kept")
                self._show("code")
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
        wanted = np.asarray(ids, np.int64)
        with self._database.transaction():
            self.kept()  # what it holds stays the same
            stored = self.get(number)
            halves = to_half(vectors, len(wanted), stored.space.dimensions)
            keep = of_space(statements.KEEP_CHUNKS, number, stored.holds)
            there = self._database.rows(keep, (wanted.tolist(),))
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
            middle = of_space(statements.MIDDLE_CHUNKS_FROM, number)
            rows = self._database.rows(middle, values)
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

    def _show(self, role: Role) -> None:
        """Let the views show the vectors that are searched, and documents have their means.

        Args:
            role: What has changed: `main`, or `code`.
        """
        show_searched(self._database)
        there = self.searched()
        by = there.code if role == "code" and there.code else there.main
        kinds = CODE_ALONE if role == "code" else TEXT_ALONE if there.code else EVERYTHING
        statement = of_space(statements.EMBED_DOCUMENTS, by.number)
        self._database.change(statement, (self._collection, list(kinds)))

    def _set_role(self, number: int, role: Role, event: str) -> None:
        self._database.change(statements.SET_ROLE, (role, number))
        tell(self._database, number, event)

    def _drop(self, number: int) -> None:
        self._database.change(of_space(statements.DROP_VECTORS, number))
        self._database.change(statements.DROP_SPACE, (number,))
        tell(self._database, number, "dropped")


def add_space(database: Database, collection: int, wanted: StoredSpace) -> StoredSpace:
    """Write a space down and make the table of its vectors; gives it with its number."""
    space = wanted.space
    row = (collection, wanted.role, space.id, space.to_json(), space.dimensions, wanted.made_by)
    number: int = database.value(statements.ADD_SPACE, (*row, ",".join(wanted.holds)))
    create = of_space(statements.CREATE_VECTORS, number)
    database.change(create.replace("{dimensions}", f"{space.dimensions:d}"))
    tell(database, number, f"added as {wanted.role}")
    return replace(wanted, number=number)


def show_searched(database: Database) -> None:
    """Let the views of the vectors that are searched show the spaces' as of now."""
    for view, numbers in (
        (statements.SHOW_MAIN, statements.MAIN_NUMBERS),
        (statements.SHOW_CODE, statements.CODE_NUMBERS),
    ):
        parts = [of_space(statements.OF_SHOWN, number) for (number,) in database.rows(numbers)]
        database.change(view + " UNION ALL ".join(parts))


def tell(database: Database, number: int, event: str) -> None:
    """Add to the history of the spaces."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    database.change(statements.ADD_EVENT, (now, number, event))


def _main_of(there: Sequence[StoredSpace], shown: str) -> StoredSpace:
    for stored in there:
        if stored.role == "main":
            return stored
    raise StoreError(
        f"The index in {shown} is damaged (without a main space).", "Restore a backup."
    )


def _code_of(there: Sequence[StoredSpace]) -> StoredSpace | None:
    return next((stored for stored in there if stored.role == "code"), None)


def _stored_space(row: Row) -> StoredSpace:
    number, declaration, role, made_by, holds = row
    return StoredSpace(number, Space.from_json(declaration), role, made_by, tuple(holds.split(",")))


def _admission(row: Row) -> Admission:
    return Admission(BuildRecord.from_json(row[0]), *row[1:])
