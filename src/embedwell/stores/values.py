"""What goes into a store and comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray, IntArray

ChunkKind = Literal["text", "code"]


@dataclass(frozen=True)
class CodeSpace:
    """The second space of a pair, which code documents go to.

    Attributes:
        space: Its declaration; its dimensions need not be those of the main one.
        made_by: Who created it, for people: program, version, artifact; may be empty.
        hybrid: Whether code documents have vectors in the main space too.
    """

    space: Space
    made_by: str = ""
    hybrid: bool = False


@dataclass(frozen=True)
class CollectionSettings:
    """What a collection is made for.

    Attributes:
        space: The main space of its vectors; a migration changes it.
        chunk_tokens: Most tokens of a chunk.
        made_by: Who created it, for people: program, version, artifact; may be empty.
        code: The space of code documents; None where they are in the main one alone.
    """

    space: Space
    chunk_tokens: int
    made_by: str = ""
    code: CodeSpace | None = None

    @property
    def max_tokens(self) -> int:
        """The longest input that its models all take, in tokens."""
        most = self.space.max_tokens
        return min(most, self.code.space.max_tokens) if self.code else most


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
        source: Number of the source that it comes from; None where a program added it.
    """

    key: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    kind: ChunkKind
    language: str
    is_record: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    source: int | None = None


@dataclass(frozen=True, slots=True)  # a sweep holds one for each file
class Stat:
    """What is compared to know whether a file changed."""

    size_bytes: int
    mtime_ns: int


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
    """A document with its chunks and their vectors.

    Attributes:
        document: The document.
        chunks: Its passages.
        vectors: Of the main space: float32, shape (len(chunks), d); shape (0, d) where that does
            not hold documents of this kind.
        code_vectors: Of the code space: float32, shape (len(chunks), d); None where there is none,
            or it does not hold documents of this kind.
    """

    document: Document
    chunks: Sequence[StoredChunk]
    vectors: FloatArray
    code_vectors: FloatArray | None = None


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


@dataclass(frozen=True)
class Compacted:
    """What compacting a store gave back.

    Attributes:
        before_bytes: Size of the store before.
        after_bytes: Size after.
    """

    before_bytes: int
    after_bytes: int
