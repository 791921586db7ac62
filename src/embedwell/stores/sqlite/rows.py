"""Rows of the tables, and what they stand for."""

from __future__ import annotations

import json

from embedwell.stores.sqlite.database import Row
from embedwell.stores.values import Document, FoundChunk, StoredChunk
from embedwell.stores.words import name_pieces


def found_chunk(row: Row) -> FoundChunk:
    """A chunk from the columns of `statements.CHUNKS`."""
    return FoundChunk(row[0], row[1], row[2], row[3], json.loads(row[4]), StoredChunk(*row[5:]))


def document_row(document: Document) -> tuple[object, ...]:
    """What is stored of a document, beside its collection."""
    return (
        document.key,
        document.size_bytes,
        document.mtime_ns,
        document.sha256,
        document.kind,
        document.language,
        document.is_record,
        json.dumps(dict(document.metadata)),
        document.source,
    )


def chunk_row(chunk: StoredChunk, key: str) -> tuple[object, ...]:
    """What is stored of a chunk, beside its id and document."""
    pieces = name_pieces(f"{chunk.title}\n{key}\n{chunk.text}")
    return (
        chunk.start,
        chunk.end,
        chunk.start_line,
        chunk.end_line,
        chunk.title,
        chunk.text,
        " ".join(pieces),
        chunk.embedded_sha256,
    )
