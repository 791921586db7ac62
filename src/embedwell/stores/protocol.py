"""What every store does, whichever database is behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.queue import Outcome, Queue
from embedwell.stores.spaces import Spaces
from embedwell.stores.values import (
    ChunkKind,
    CodeSpace,
    CollectionSettings,
    Compacted,
    Counts,
    Document,
    DocumentChunks,
    Filter,
    FoundChunk,
    Scored,
    Stat,
    StoredChunk,
)

__all__ = [
    "ChunkKind",
    "CodeSpace",
    "CollectionSettings",
    "Compacted",
    "Counts",
    "Document",
    "DocumentChunks",
    "Filter",
    "FoundChunk",
    "Scored",
    "Stat",
    "Store",
    "StoredChunk",
]


class Store(Protocol):
    """One collection of documents. Owned by one thread; every write is one transaction.

    A chunk keeps its id until its document is replaced or deleted; ids grow and are never reused.

    Where a method takes `space`, that is the number of one of `spaces`, the main one if left out;
    it raises `SpaceMovedError` where the store no longer has it.

    Every method may raise `StoreError`; those that write also `StoreBusyError`,
    `StoreFullError` and `StoreReadOnlyError`, after which the store is as before the call.
    """

    @property
    def settings(self) -> CollectionSettings:
        """What the collection is made for, with the space that is the main one now."""
        ...

    @property
    def spaces(self) -> Spaces:
        """The spaces that it holds vectors of."""
        ...

    @property
    def queue(self) -> Queue:
        """What is to be read into it, and what became of it."""
        ...

    @property
    def index_kind(self) -> str:
        """How vectors are searched, for people: `codes (numpy)`, `hnsw`, …."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """Be the only long writer: a job such as indexing holds this from start to end.

        Single writes need it not. A killed holder leaves nothing to clean up.

        Raises:
            StoreBusyError: Another job, of this process or another, holds it.
        """
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """All reads inside see one state, whatever others write. Writing inside is an error."""
        ...

    def stats(self, source: int | None = None) -> Mapping[str, Stat]:
        """Size and time by key: of each file, or of each file and record of one source."""
        ...

    def records(self) -> list[str]:
        """Keys of the documents that programs added, in order."""
        ...

    def set_chunk_tokens(self, chunk_tokens: int) -> None:
        """Change how long chunks may be that are cut from now on."""
        ...

    def known_vectors(
        self, hashes: Sequence[str], *, space: int | None = None
    ) -> Mapping[str, FloatArray]:
        """Vectors (float32, shape (d,)) already stored, by `embedded_sha256`."""
        ...

    def put(
        self,
        documents: Sequence[DocumentChunks],
        *,
        space: int | None = None,
        code: int | None = None,
        outcomes: Sequence[Outcome] = (),
    ) -> frozenset[int]:
        """Insert or replace whole documents with their vectors.

        Args:
            documents: What to store.
            space: The main space, as the caller knows it.
            code: The code space, as the caller knows it; None where it knows of none. Looked at
                where `space` or `code` is given.
            outcomes: What became of claimed rows of the queue, those of the documents among
                them: written in the same transaction. A document whose row's lease was lost is
                not stored.

        Returns:
            Ids of the tasks whose lease was lost.

        Raises:
            SpaceMovedError: Another space is the main or the code one by now, or they hold other
                kinds of documents than those that came with vectors; nothing is kept.
            BadVectorError: A vector is NaN, infinite, zero or of another length; or, where neither
                `space` nor `code` is given, a document has vectors of a space that does not hold
                its kind, or none of one that does. Nothing is kept.
        """
        ...

    def touch(self, stats: Mapping[str, Stat]) -> None:
        """Renew size and time of files whose content did not change."""
        ...

    def delete(self, keys: Iterable[str]) -> int:
        """Remove documents with all that hangs on them, and their rows of the queue.

        Returns:
            How many documents there were.
        """
        ...

    def tend_index(self, n_waiting: int, watch: Watch) -> None:
        """Bring the index over the vectors to where it should be in a load of many documents.

        Dropped before a large load, built once enough is in, and again at the end; nothing to do
        where the index follows by itself. May take minutes: a worker calls it on a store of its
        own, beside its work.

        Args:
            n_waiting: Documents that are still queued.
            watch: Told of progress.
        """
        ...

    def warm(self, *, space: int | None = None) -> None:
        """Bring into memory what vector search needs; `nearest` does so itself if it must."""
        ...

    def nearest(
        self, vector: FloatArray, k: int, where: Filter, *, space: int | None = None
    ) -> Scored:
        """The k chunks with the highest cosine to a unit vector of shape (d,).

        An index may miss a few: `index_kind` says which, docs/search.md how many. Equal scores
        (to six decimals) come in the order of their ids.

        Raises:
            BadVectorError: The vector is NaN, infinite, zero or of another length.
        """
        ...

    def similarities(
        self, vector: FloatArray, ids: IntArray, *, space: int | None = None
    ) -> FloatArray:
        """Cosine of a unit vector of shape (d,) to given chunks: float32, shape (len(ids),).

        A chunk that has no vector in the space is as far as can be: -1.

        Raises:
            BadVectorError: The vector is NaN, infinite, zero or of another length.
            StoreError: An id is not in the store.
        """
        ...

    def matching(self, query: str, k: int, where: Filter) -> Scored:
        """The k chunks with the highest BM25 for the words of a query, any text.

        A chunk needs one of the words. Words that so many chunks have that they tell nothing
        may be left out while others remain. Equal scores come in the order of their ids.
        """
        ...

    def match_scores(self, query: str, ids: IntArray) -> FloatArray:
        """BM25 of a query for given chunks, 0 where no word occurs: float32, shape (len(ids),)."""
        ...

    def chunks(self, ids: Sequence[int]) -> list[FoundChunk]:
        """Chunks by id, in the order asked for; ids not in the store are left out."""
        ...

    def passages(self, key: str) -> list[FoundChunk]:
        """All chunks of a document as they follow one another; none where it is not there."""
        ...

    def counts(self) -> Counts:
        """Documents, chunks and bytes."""
        ...

    def n_chunks(self, kind: ChunkKind) -> int:
        """How many chunks of documents of a kind there are."""
        ...

    def free_bytes(self) -> int | None:
        """Free bytes where the store lies; None where that cannot be known."""
        ...

    def check(self) -> list[str]:
        """What is broken in the database, a sentence each; empty when it is sound.

        Vectors without chunks, chunks without a vector in a main or code space that holds their
        kind, vectors in a space that does not, indexes against tables included.
        """
        ...

    def compact(self) -> Compacted:
        """Give the space of what was deleted back to the system; others may read meanwhile.

        Raises:
            StoreBusyError: Another job is writing.
            StoreFullError: There is no room to work in.
        """
        ...

    def backup(self, target: Path) -> None:
        """Copy the store as of now into a new file, while others go on writing.

        Raises:
            StoreError: There is a file already, or this kind of store has another way to do it.
        """
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
