"""Add texts that a program holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from embedwell.core.events import Watch
from embedwell.ingest.extract import extract_text
from embedwell.ingest.formats import PLAIN
from embedwell.ingest.lanes import lanes_of
from embedwell.ingest.prepare import prepare
from embedwell.ingest.sources.records import Record, text_id
from embedwell.jobs.put import LoadEmbedder, embed_and_put
from embedwell.stores.protocol import ChunkKind, Document, Store

__all__ = ["Record", "add_records", "check_texts", "put_texts", "records_of"]

# Records committed together: whole documents, enough to fill batches.
_RECORDS_PER_COMMIT = 512


def records_of(
    texts: Sequence[str],
    ids: Sequence[str] | None,
    metadata: Sequence[Mapping[str, Any]] | None,
    kind: ChunkKind | Sequence[ChunkKind],
) -> list[Record]:
    """The records of texts that a program holds; see `Index.add`.

    Raises:
        TypeError: `texts` or `ids` is one text, holds something else, or metadata is no mapping.
        ValueError: A list has another length than `texts`, or a kind is unknown.
    """
    check_texts(texts, "texts")
    if ids is not None:
        check_texts(ids, "ids")
    names = list(ids) if ids is not None else [text_id(text) for text in texts]
    values = list(metadata) if metadata is not None else [{}] * len(texts)
    kinds = [kind] * len(texts) if isinstance(kind, str) else list(kind)
    if not len(names) == len(values) == len(kinds) == len(texts):
        raise ValueError(
            f"{len(texts)} texts came with {len(names)} ids, {len(values)} metadata and "
            f"{len(kinds)} kinds; give one of each for every text."
        )
    if other := next((one for one in values if not isinstance(one, Mapping)), None):
        raise TypeError(f"metadata takes a mapping for each text, not {other!r}.")
    if unknown := set(kinds) - set(get_args(ChunkKind)):
        raise ValueError(f"The kind {unknown.pop()!r} is unknown; use 'text' or 'code'.")
    every = zip(names, texts, values, kinds, strict=True)
    return [Record(*one) for one in every]


def check_texts(given: Sequence[str], name: str) -> None:
    """Refuse one text, which would be taken for a list of its letters, and what is no text.

    Raises:
        TypeError: It is one, or holds something else.
    """
    if isinstance(given, str):
        raise TypeError(f"{name} takes a list of texts; put the one text into a list.")
    if other := [one for one in given if not isinstance(one, str)]:
        raise TypeError(f"{name} takes texts, not {other[0]!r}.")


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
    lanes = lanes_of(store, load_embedder)
    chunk_tokens = store.settings.chunk_tokens
    prepared = []
    for document, text in texts:
        starts = lanes.token_starts(document.kind)
        prepared.append(prepare(document, extract_text(text, PLAIN), starts, chunk_tokens))
    embed_and_put(prepared, store, load_embedder, Watch())


def _document(record: Record) -> Document:
    data = record.text.encode("utf-8", "surrogatepass")
    return Document(
        key=record.id,
        size_bytes=len(data),
        mtime_ns=0,
        sha256=hashlib.sha256(data).hexdigest(),
        kind=record.kind,
        language="",
        is_record=True,
        metadata=record.metadata,
    )
