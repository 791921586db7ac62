"""Add texts that a program holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from embedwell.core.events import Watch
from embedwell.ingest.extract import extract_text
from embedwell.ingest.formats import PLAIN
from embedwell.ingest.prepare import prepare
from embedwell.ingest.sources.records import Record
from embedwell.jobs.put import LoadEmbedder, embed_and_put
from embedwell.stores.protocol import Document, Store

__all__ = ["Record", "add_records", "put_texts"]

# Records committed together: whole documents, enough to fill batches.
_RECORDS_PER_COMMIT = 512


def add_records(records: Sequence[Record], store: Store, load_embedder: LoadEmbedder) -> None:
    """Chunk, embed and store texts, replacing those that have the same ids.

    Raises:
        StoreError: The store could not be written; what was committed before is kept.
    """
    for begin in range(0, len(records), _RECORDS_PER_COMMIT):
        batch = records[begin : begin + _RECORDS_PER_COMMIT]
        put_texts([(_document(one), one.text) for one in batch], store, load_embedder)


def put_texts(
    texts: Sequence[tuple[Document, str]], store: Store, load_embedder: LoadEmbedder
) -> None:
    """Cut, embed and store documents of which the texts are at hand, in one transaction."""
    starts = load_embedder().token_starts
    chunk_tokens = store.settings.chunk_tokens
    prepared = [
        prepare(document, extract_text(text, PLAIN), starts, chunk_tokens)
        for document, text in texts
    ]
    embed_and_put(prepared, store, load_embedder, Watch())


def _document(record: Record) -> Document:
    data = record.text.encode("utf-8", "surrogatepass")
    return Document(
        key=record.id,
        size_bytes=len(data),
        mtime_ns=0,
        sha256=hashlib.sha256(data).hexdigest(),
        kind="text",
        language="",
        is_record=True,
        metadata=record.metadata,
    )
