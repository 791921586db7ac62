"""From bytes to a document with chunks, ready to be embedded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from embedwell.chunking.chunker import chunk
from embedwell.chunking.protocol import TokenStarts
from embedwell.chunking.titles import titled
from embedwell.ingest.extracted import Extracted
from embedwell.stores.protocol import Document, StoredChunk


@dataclass(frozen=True)
class Prepared:
    """A document whose chunks have no vectors yet.

    Attributes:
        document: What it is.
        chunks: Its passages in order.
        texts: What is to be embedded for each: its title and the passage.
    """

    document: Document
    chunks: Sequence[StoredChunk]
    texts: Sequence[str]


def prepare(
    document: Document, extracted: Extracted, token_starts: TokenStarts, chunk_tokens: int
) -> Prepared:
    """Cut a document's text into chunks."""
    pieces = chunk(extracted.text, extracted.segments, token_starts, chunk_tokens)
    chunks, texts = [], []
    for piece in pieces:
        passage = extracted.text[piece.start : piece.end]
        text = titled(piece.title, passage)
        chunks.append(_stored(extracted, piece.start, piece.end, piece.title, text))
        texts.append(text)
    return Prepared(document, chunks, texts)


def _stored(extracted: Extracted, start: int, end: int, title: str, embedded: str) -> StoredChunk:
    return StoredChunk(
        start=start,
        end=end,
        start_line=extracted.line_of(start),
        end_line=extracted.line_of(end - 1),
        title=title,
        text=extracted.text[start:end],
        embedded_sha256=hashlib.sha256(embedded.encode("utf-8", "replace")).hexdigest(),
    )
