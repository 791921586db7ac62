"""Rows of the tables, and what they stand for."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedwell.stores.postgres.database import Row
from embedwell.stores.postgres.texts import from_stored, to_stored
from embedwell.stores.values import Document, FoundChunk, StoredChunk


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


def document_row(document: Document, vectors: npt.NDArray[np.float16] | None) -> tuple[object, ...]:
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
        None if vectors is None else mean_literal(vectors),
    )


def chunk_row(chunk: StoredChunk, pieces: Sequence[str]) -> tuple[object, ...]:
    """What is stored of a chunk, beside its id and document.

    Args:
        chunk: The chunk.
        pieces: Parts of the names in it.
    """
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
    if not length:
        return None
    values = (mean / length).astype(np.float16).tolist()
    # Five digits tell every float16 from the next, and are written in a third of the time.
    return "[" + ",".join(["%.5g"] * len(values)) % tuple(values) + "]"
