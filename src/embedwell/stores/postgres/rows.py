"""Rows of the tables, and what they stand for."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt

from embedwell.stores.postgres.database import Row
from embedwell.stores.postgres.texts import from_stored, to_stored
from embedwell.stores.postgres.vectors import literal
from embedwell.stores.values import Document, FoundChunk, StoredChunk
from embedwell.stores.words import name_pieces


def found_chunk(row: Row) -> FoundChunk:
    """A chunk from the columns of `statements.CHUNKS`."""
    number, key, kind, language, metadata, start, end, first, last, title, text, sha256 = row
    return FoundChunk(
        number,
        from_stored(key),
        kind,
        from_stored(language),
        json.loads(metadata),
        StoredChunk(start, end, first, last, from_stored(title), from_stored(text), sha256),
    )


def document_row(document: Document, vectors: npt.NDArray[np.float16]) -> tuple[object, ...]:
    """What is stored of a document, beside its collection."""
    return (
        to_stored(document.key),
        document.size_bytes,
        document.mtime_ns,
        document.sha256,
        document.kind,
        to_stored(document.language),
        document.is_record,
        json.dumps(dict(document.metadata)),
        document.source,
        mean_literal(vectors),
    )


def chunk_row(chunk: StoredChunk, key: str) -> tuple[object, ...]:
    """What is stored of a chunk, beside its id and document."""
    pieces = name_pieces(f"{chunk.title}\n{key}\n{chunk.text}")
    return (
        chunk.start,
        chunk.end,
        chunk.start_line,
        chunk.end_line,
        to_stored(chunk.title),
        to_stored(chunk.text),
        " ".join(pieces),
        chunk.embedded_sha256,
    )


def mean_literal(vectors: npt.NDArray[np.float16]) -> str | None:
    """The mean of a document's vectors, scaled to length 1; None where that is not possible."""
    if not len(vectors):
        return None
    mean = vectors.astype(np.float32).mean(axis=0)
    length = float(np.linalg.norm(mean))
    return literal((mean / length).astype(np.float16).astype(np.float32)) if length else None
