"""The spaces of a store: which vectors it holds, what proves them, and how they are exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from embedwell.core.build import BuildRecord
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.values import ChunkKind, FoundChunk

Role = Literal["main", "code", "light", "next", "kept"]
"""What a space is there for: `main` is searched and written; so is `code`, by the code model of a
pair; `light` is kept current beside them for when the main model does not fit; `next` is being
filled by a migration; `kept` was the main one, or the code one."""

Holds = tuple[ChunkKind, ...]
"""The kinds of documents whose chunks a space has vectors of."""

EVERYTHING: Holds = ("text", "code")
TEXT_ALONE: Holds = ("text",)
CODE_ALONE: Holds = ("code",)


@dataclass(frozen=True)
class StoredSpace:
    """A space that a store holds vectors of.

    The same declaration may be there twice, as when a migration only changes the quantization.

    Attributes:
        number: Its name in this store; never reused.
        space: The declaration.
        role: What it is there for.
        made_by: Who made it, for people: program, version, artifact; may be empty.
        holds: The kinds of documents whose chunks it has vectors of. Beside a code space the main
            one may leave code to that.
    """

    number: int
    space: Space
    role: Role
    made_by: str
    holds: Holds = EVERYTHING

    @property
    def is_of_code(self) -> bool:
        """Whether it is the code space of a pair, or is to take that one's place, or did."""
        return self.holds == CODE_ALONE


@dataclass(frozen=True)
class Reference:
    """What every build is measured against.

    Attributes:
        probes: Name of the set of probe texts.
        vectors: What the first writer's build made of them: float32, shape (n_probes, d).
        build: The first writer's.
    """

    probes: str
    vectors: FloatArray
    build: BuildRecord


@dataclass(frozen=True)
class Admission:
    """A build that may write to a space and compare with its vectors.

    Attributes:
        build: Who.
        drift_mean: Mean drift over the natural probes.
        drift_worst: Worst drift of a natural probe.
        accepted: The entry of `accept_drift` by which it was let in; empty within the bounds.
        at: When, ISO 8601 in UTC.
    """

    build: BuildRecord
    drift_mean: float
    drift_worst: float
    accepted: str
    at: str


class Spaces(Protocol):
    """The spaces of one collection. Every write is one transaction.

    There are three states: one main space of everything; a split pair, whose main space holds text
    and whose code space holds code; a hybrid pair, whose main space holds everything. `switch` to
    a `next` space that holds code alone makes a pair, a hybrid one first; `split` narrows it;
    `switch` to a main space of everything widens it; `drop` of the code space ends it. So every
    chunk has its vector in a space that is searched, at every moment.

    Every method that takes a number raises `SpaceMovedError` where the store no longer has it.
    """

    def all(self) -> list[StoredSpace]:
        """All of them, by number."""
        ...

    def main(self) -> StoredSpace:
        """The one that is searched and written now."""
        ...

    def code(self) -> StoredSpace | None:
        """The one that code documents are searched and written in now; None where no pair is."""
        ...

    def get(self, number: int) -> StoredSpace:
        """One of them."""
        ...

    def add(
        self,
        space: Space,
        role: Literal["light", "next"],
        made_by: str,
        *,
        holds: Holds | None = None,
    ) -> StoredSpace:
        """Make room for vectors of another space.

        Args:
            space: The declaration.
            role: What it is there for.
            made_by: Who made it, for people.
            holds: Kinds of documents that it gets vectors of: `CODE_ALONE` for one that is to be
                the code space, others for one that is to be the main one. By default a `next`
                space holds what the main one does, a `light` one everything.

        Raises:
            StoreError: There is a space with that role already.
        """
        ...

    def switch(self, number: int, *, keep: bool) -> None:
        """Make a space the main one (the code one, if it holds code alone), else change nothing.

        The one whose place it takes becomes `kept`, or is dropped with its vectors. Where there was
        no code space before, the main one still holds what it did: see `split`.

        Raises:
            StoreError: Chunks are missing in it, and the message says how many; or it holds text
                alone, and there is no code space.
        """
        ...

    def split(self) -> None:
        """Let the main space hold text alone: its vectors of code documents are deleted.

        Raises:
            StoreError: There is no code space, or chunks are missing in it.
        """
        ...

    def drop(self, number: int) -> None:
        """Remove a space with its vectors and its proof.

        Raises:
            StoreError: It is the main one, or the code one while the main one does not hold code.
        """
        ...

    def n_missing(self, number: int) -> int:
        """How many chunks have no vector in a space, of documents of the kinds that it holds."""
        ...

    def missing(self, number: int, after: int, n: int) -> list[FoundChunk]:
        """The first n of them with an id above `after`, by id."""
        ...

    def fill(self, number: int, ids: IntArray, vectors: FloatArray) -> int:
        """Store vectors of chunks that `missing` gives; others are left out.

        Args:
            number: The space.
            ids: Chunk ids: int64, shape (n,).
            vectors: float32, shape (n, d).

        Returns:
            How many were stored.

        Raises:
            BadVectorError: A vector is NaN, infinite, zero or of another length; none is kept.
        """
        ...

    def sample(self, number: int, n: int, *, after: int = 0) -> IntArray:
        """Ids of at most n chunks with a vector in a space, spread over all of them, ascending.

        Args:
            number: The space.
            n: How many.
            after: Only chunks with a higher id: those that were stored later.
        """
        ...

    def sample_documents(self, number: int, n: int, *, after: int = 0) -> IntArray:
        """Ids of the middle chunks of at most n documents, spread over what was stored, ascending.

        Long and short documents are as likely, other than in a sample of chunks.

        Args:
            number: The space.
            n: How many.
            after: Only documents that were stored after the chunk with this id.
        """
        ...

    def vectors(self, number: int, ids: IntArray) -> FloatArray:
        """Vectors as they are stored: float32, shape (len(ids), d); a NaN row where there is none.

        What lies in the database is given as it is, however broken.
        """
        ...

    def reference(self, number: int) -> Reference | None:
        """What builds are measured against; None where nothing was written yet."""
        ...

    def refer(self, number: int, reference: Reference) -> Reference:
        """Set the reference of a space that has none; gives the one that it has now."""
        ...

    def admissions(self, number: int) -> Sequence[Admission]:
        """Who was admitted, the first one first."""
        ...

    def admission(self, number: int, build_key: str) -> Admission | None:
        """The admission of a build by the key of its record."""
        ...

    def admit(self, number: int, admission: Admission) -> None:
        """Record an admission, in place of an earlier one of the same build."""
        ...
