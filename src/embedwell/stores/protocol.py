"""What every store does, whichever database is behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray, IntArray

ChunkKind = Literal["text", "code"]


@dataclass(frozen=True)
class CollectionSettings:
    """What is fixed when a collection is created.

    Attributes:
        space: The space of its vectors.
        chunk_tokens: Most tokens of a chunk.
        made_by: Who created it, for people: program, version, artifact; may be empty.
    """

    space: Space
    chunk_tokens: int
    made_by: str = ""


@dataclass(frozen=True)
class Document:
    """A file, or a record that a program added.

    Attributes:
        key: Path relative to the folder with `/` between its parts, or the record's id.
        size_bytes: Size of the file, or of the record's text in UTF-8.
        mtime_ns: Modification time of the file; 0 for records.
        sha256: Hash of the bytes.
        kind: Whether it is text or code.
        language: `markdown`, `python`, …; may be empty.
        is_record: Whether a program added it (it then does not leave when a folder is re-indexed).
        metadata: What the program wants to filter by.
    """

    key: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    kind: ChunkKind
    language: str
    is_record: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stat:
    """What is compared to know whether a file changed."""

    size_bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class StoredChunk:
    """A passage of a document.

    Attributes:
        start: First character in the document's text, in code points.
        end: One past the last character.
        start_line: First line, from 1.
        end_line: Last line.
        title: Heading or symbol path; may be empty.
        text: The passage.
        embedded_sha256: Hash of exactly what was embedded (title and passage).
    """

    start: int
    end: int
    start_line: int
    end_line: int
    title: str
    text: str
    embedded_sha256: str


@dataclass(frozen=True)
class DocumentChunks:
    """A document with its chunks and their vectors (float32, shape (len(chunks), d))."""

    document: Document
    chunks: Sequence[StoredChunk]
    vectors: FloatArray


@dataclass(frozen=True)
class Filter:
    """Which chunks may be found. Empty fields do not restrict.

    Attributes:
        path: Glob over the document's key (`*` stays inside a folder, `**` does not).
        language: The document's language.
        kind: The document's kind.
        metadata: Values that the document's metadata must have, each equal as JSON
            (1 equals 1.0, not true).
    """

    path: str = ""
    language: str = ""
    kind: ChunkKind | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundChunk:
    """A chunk read back, with what is shown of its document."""

    id: int
    key: str
    kind: ChunkKind
    language: str
    metadata: Mapping[str, Any]
    chunk: StoredChunk


@dataclass(frozen=True)
class Scored:
    """Chunk ids with their scores, best first.

    Attributes:
        ids: int64, shape (n,).
        scores: float32, shape (n,); higher is better.
    """

    ids: IntArray
    scores: FloatArray


@dataclass(frozen=True)
class Counts:
    """How much a store holds."""

    documents: int
    chunks: int
    size_bytes: int


class Store(Protocol):
    """One collection of documents. Owned by one thread; every write is one transaction.

    A chunk keeps its id until its document is replaced or deleted; ids grow and are never reused.

    Every method may raise `StoreError`; those that write also `StoreBusyError`,
    `StoreFullError` and `StoreReadOnlyError`, after which the store is as before the call.
    """

    @property
    def settings(self) -> CollectionSettings:
        """What was fixed when the collection was created."""
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

    def stats(self) -> Mapping[str, Stat]:
        """Size, time and hash of each file by key; records are left out."""
        ...

    def known_vectors(self, hashes: Sequence[str]) -> Mapping[str, FloatArray]:
        """Vectors (float32, shape (d,)) already stored, by `embedded_sha256`."""
        ...

    def put(self, documents: Sequence[DocumentChunks]) -> None:
        """Insert or replace whole documents.

        Raises:
            BadVectorError: A vector is NaN, infinite, zero or of another length; nothing is kept.
        """
        ...

    def touch(self, stats: Mapping[str, Stat]) -> None:
        """Renew size and time of files whose content did not change."""
        ...

    def delete(self, keys: Iterable[str]) -> int:
        """Remove documents with all that hangs on them; returns how many there were."""
        ...

    def warm(self) -> None:
        """Bring into memory what vector search needs; `nearest` does so itself if it must."""
        ...

    def nearest(self, vector: FloatArray, k: int, where: Filter) -> Scored:
        """The k chunks with the highest cosine to a unit vector of shape (d,).

        Equal scores (to six decimals) come in the order of their ids.

        Raises:
            BadVectorError: The vector is NaN, infinite, zero or of another length.
        """
        ...

    def similarities(self, vector: FloatArray, ids: IntArray) -> FloatArray:
        """Cosine of a unit vector of shape (d,) to given chunks: float32, shape (len(ids),).

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

    def check(self) -> list[str]:
        """What is broken in the database, a sentence each; empty when it is sound."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
