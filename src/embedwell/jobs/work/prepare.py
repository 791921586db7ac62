"""Read, extract and cut what a claimed row of the queue stands for."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from embedwell.chunking.protocol import TokenStarts
from embedwell.core.errors import ExtractionError
from embedwell.ingest.extract import extract, extract_text
from embedwell.ingest.extracted import Extracted
from embedwell.ingest.prepare import Prepared, prepare
from embedwell.ingest.sources.protocol import Content, SourceReader
from embedwell.jobs.work.retries import unread
from embedwell.stores.filters import canonical
from embedwell.stores.protocol import ChunkKind, Document, Stat
from embedwell.stores.queue import Outcome, Task, Times

Extract: TypeAlias = Callable[[Content], Extracted]
"""Turns what was read into text; raises `ExtractionError`."""


@dataclass(frozen=True)
class Cutting:
    """How documents are cut: what the store and its embedder say.

    Attributes:
        token_starts: Gives the tokenizer for a kind of documents.
        chunk_tokens: Most tokens of a chunk.
    """

    token_starts: Callable[[ChunkKind], TokenStarts]
    chunk_tokens: int


@dataclass(frozen=True)
class Ready:
    """A claimed row that was read.

    Attributes:
        outcome: What becomes of it, as far as that is known now.
        prepared: The document to be stored, if any; its outcome is `done`, or `failed` where it
            cannot be extracted: then it has no chunks, so that nothing stale is found.
        stat: Size and time to renew where only these had changed.
        notes: What was indexed in part.
    """

    outcome: Outcome
    prepared: Prepared | None = None
    stat: Stat | None = None
    notes: Sequence[str] = ()


def extract_here(content: Content) -> Extracted:
    """Extract in this process."""
    if isinstance(content.data, str):
        return extract_text(content.data, content.format)
    return extract(content.data, content.format)


def prepare_task(
    task: Task, prefix: str, reader: SourceReader, extract_content: Extract, cutting: Cutting
) -> Ready:
    """Read a row's file or record and cut it into chunks. Never raises for what it reads.

    Args:
        task: The claimed row.
        prefix: Of its source's keys.
        reader: Of its source.
        extract_content: Turns it into text.
        cutting: How it is cut.
    """
    began = time.perf_counter()
    item = replace(task.item, key=task.item.key.removeprefix(prefix)) if prefix else task.item
    try:
        content = reader.read(item)
    except FileNotFoundError:  # the next sweep removes its document
        return Ready(Outcome(task, "skipped", "has gone since it was listed"))
    except OSError as error:
        return Ready(unread(task, error))
    except ExtractionError as error:
        return Ready(Outcome(task, "failed", str(error)))
    document = _document(task, content)
    read_s = time.perf_counter() - began
    if task.sha256 == document.sha256 and not task.item.anew:
        stat = Stat(document.size_bytes, document.mtime_ns)
        outcome = Outcome(task, "skipped", "has the bytes that are stored", times=Times(read_s))
        return Ready(outcome, stat=stat)
    try:
        extracted = extract_content(content)
    except ExtractionError as error:
        outcome = Outcome(task, "failed", str(error), times=Times(read_s))
        return Ready(outcome, Prepared(document, [], []))
    extract_s = time.perf_counter() - began - read_s
    starts = cutting.token_starts(document.kind)
    prepared = prepare(document, extracted, starts, cutting.chunk_tokens)
    chunk_s = time.perf_counter() - began - read_s - extract_s
    times = Times(read_s, extract_s, chunk_s)
    done = Outcome(task, "done", n_chunks=len(prepared.chunks), times=times)
    return Ready(done, prepared, notes=extracted.notes)


def _document(task: Task, content: Content) -> Document:
    return Document(
        key=task.item.key,
        size_bytes=content.size_bytes,
        mtime_ns=content.mtime_ns,
        sha256=_sha256(content),
        kind=content.format.kind,
        language=content.format.language,
        is_record=content.is_record,
        metadata=content.metadata,
        source=task.source,
    )


def _sha256(content: Content) -> str:
    """Of a file's bytes; of a record's text and of what it can be found by."""
    data = content.data
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass") + canonical(content.metadata).encode()
    return hashlib.sha256(data).hexdigest()
