"""Which vectors of documents go into which space: the main one, and the code one of a pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from embedwell.core.errors import BadVectorError, SpaceMovedError, StoreError
from embedwell.core.vectors import FloatArray
from embedwell.stores.scan.bits import HalfArray
from embedwell.stores.spaces import CODE_ALONE, EVERYTHING, TEXT_ALONE, StoredSpace
from embedwell.stores.values import CodeSpace, CollectionSettings, DocumentChunks
from embedwell.stores.vectors import halves_of_all


@dataclass(frozen=True)
class Searched:
    """The spaces that are searched and written.

    Attributes:
        main: The main one.
        code: The code one; None where no pair is.
    """

    main: StoredSpace
    code: StoredSpace | None

    @property
    def both(self) -> list[StoredSpace]:
        """The main one, and the code one where there is one."""
        return [self.main, self.code] if self.code else [self.main]

    def settings(self, chunk_tokens: int) -> CollectionSettings:
        """What a collection with them is made for."""
        main, code = self.main, self.code
        pair = CodeSpace(code.space, code.made_by, main.holds == EVERYTHING) if code else None
        return CollectionSettings(main.space, chunk_tokens, main.made_by, pair)


@dataclass(frozen=True)
class Given:
    """The vectors of documents in one space.

    Attributes:
        space: The space.
        documents: Positions of the documents that have vectors in it, ascending.
        halves: Their vectors one after another: float16, shape (n, d).
    """

    space: StoredSpace
    documents: Sequence[int]
    halves: HalfArray

    def among(self, documents: Sequence[DocumentChunks], chunk_ids: Sequence[int]) -> Iterator[int]:
        """The chunks of these vectors.

        Args:
            documents: All documents.
            chunk_ids: Ids of all their chunks, one after another.
        """
        ends = list(accumulate(len(item.chunks) for item in documents))
        spans = (range(ends[at] - len(documents[at].chunks), ends[at]) for at in self.documents)
        return (chunk_ids[place] for span in spans for place in span)


def settings_spaces(settings: CollectionSettings) -> list[StoredSpace]:
    """The spaces that a new store begins with."""
    pair = settings.code
    holds = TEXT_ALONE if pair and not pair.hybrid else EVERYTHING
    main = StoredSpace(1, settings.space, "main", settings.made_by, holds)
    return [main, StoredSpace(2, pair.space, "code", pair.made_by, CODE_ALONE)] if pair else [main]


def moved(shown: str, number: int, main: StoredSpace) -> SpaceMovedError:
    """A space that is gone, or not the main one any more.

    Args:
        shown: The store, for people.
        number: The space.
        main: The main one now.
    """
    return SpaceMovedError(
        f"{shown} has gone over from its vector space {number} to {main.number} "
        f"({main.space.model}, {main.space.dimensions} dimensions).",
        "Open it again.",
    )


def check_known(there: Searched, space: int | None, code: int | None, shown: str) -> bool:
    """Whether a writer said which spaces it knows; they are as it says.

    Args:
        there: The spaces as they are.
        space: Number of the main space as the writer knows it.
        code: The same of the code space.
        shown: The store, for people.

    Raises:
        SpaceMovedError: Another one is the main or the code one by now.
    """
    if space is None and code is None:
        return False
    if space is not None and space != there.main.number:
        raise moved(shown, space, there.main)
    now = there.code.number if there.code else None
    if code != now:
        raise SpaceMovedError(
            f"{shown} has gone over from code space {code or 'none'} to {now or 'none'}.",
            "Open it again.",
        )
    return True


def given_vectors(
    documents: Sequence[DocumentChunks], there: Searched, *, is_told: bool
) -> list[Given]:
    """The vectors of documents by space, each checked.

    Args:
        documents: What is to be stored.
        there: The spaces.
        is_told: Whether the writer said which spaces it knows.

    Raises:
        SpaceMovedError: `is_told`, and a document has no vectors in a space that holds its kind,
            or some in one that does not: what they hold has changed since.
        BadVectorError: The same, not `is_told`; or a vector is not good.
    """
    for item in documents:
        if item.chunks and not _fits(item, there):
            raise _misplaced(item, is_told=is_told)
    found = [_given(documents, there.main, [item.vectors for item in documents])]
    if there.code:
        found.append(_given(documents, there.code, [item.code_vectors for item in documents]))
    return found


def check_droppable(stored: StoredSpace, main: StoredSpace, shown: str) -> None:
    """Look whether a space may go.

    Args:
        stored: The space.
        main: The main one.
        shown: The store, for people.

    Raises:
        StoreError: It is searched, and no other one holds what it does.
    """
    if stored.role == "main":
        raise StoreError(
            f"Space {stored.number} of {shown} is the one that is searched.",
            "Switch to another one first.",
        )
    if stored.role == "code" and main.holds == TEXT_ALONE:
        raise StoreError(
            f"Space {stored.number} of {shown} alone holds the code documents.",
            "Let the main space hold them again first: `embedwell migrate --no-code`.",
        )


def check_switchable(stored: StoredSpace, n_missing: int, there: Searched, shown: str) -> None:
    """Look whether a space may become one that is searched.

    Args:
        stored: The space.
        n_missing: How many chunks it lacks.
        there: The spaces that are searched.
        shown: The store, for people.

    Raises:
        StoreError: Chunks would not be found.
    """
    if n_missing:
        raise StoreError(
            f"{n_missing} chunks of {shown} have no vector of {stored.space.model} "
            f"(space {stored.number}) yet.",
            "Fill them in, then switch.",
        )
    if stored.holds == TEXT_ALONE and there.code is None:
        raise StoreError(
            f"Space {stored.number} of {shown} holds text alone, and no other one holds code.",
            "Fill a space of everything, or make a code space first.",
        )


def check_splittable(there: Searched, n_missing: int, shown: str) -> None:
    """Look whether the main space may give code up.

    Args:
        there: The spaces that are searched.
        n_missing: How many chunks the code one lacks.
        shown: The store, for people.

    Raises:
        StoreError: There is no code space, or it lacks chunks.
    """
    if there.code is None:
        raise StoreError(f"{shown} has no code space.", "Fill one first.")
    check_switchable(there.code, n_missing, there, shown)


def _fits(item: DocumentChunks, there: Searched) -> bool:
    """Whether a document has vectors of the spaces that hold its kind, and of no other."""
    kind = item.document.kind
    in_code = there.code is not None and kind in there.code.holds
    return (len(item.vectors) > 0, _has(item.code_vectors)) == (kind in there.main.holds, in_code)


def _has(vectors: FloatArray | None) -> bool:
    return vectors is not None and len(vectors) > 0


def _misplaced(item: DocumentChunks, *, is_told: bool) -> BadVectorError | SpaceMovedError:
    document = item.document
    of = [("main", item.vectors), ("code", item.code_vectors)]
    given = " and ".join(name for name, vectors in of if _has(vectors)) or "no"
    problem = f"'{document.key}' ({document.kind}) has vectors of {given} space"
    if is_told:
        return SpaceMovedError(
            f"{problem}, and its kind is kept in another one by now.", "Open the store again."
        )
    return BadVectorError(
        f"{problem}, and its kind is kept in another one.",
        "Give one vector for each chunk, of each space that holds the document's kind.",
    )


def _given(
    documents: Sequence[DocumentChunks], stored: StoredSpace, rows: Sequence[FloatArray | None]
) -> Given:
    """The vectors of the documents that have some in a space."""
    held = [(place, vectors) for place, vectors in enumerate(rows) if vectors is not None]
    at = [place for place, vectors in held if len(vectors)]
    halves = halves_of_all(
        [(documents[place], vectors) for place, vectors in held if len(vectors)],
        stored.space.dimensions,
    )
    return Given(stored, at, halves)
