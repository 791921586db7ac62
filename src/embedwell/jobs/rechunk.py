"""Cut records anew from what is stored of them, after the length of chunks has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from embedwell.core.events import Watch
from embedwell.jobs.put import LoadEmbedder
from embedwell.jobs.records import put_texts
from embedwell.stores.protocol import Document, FoundChunk, Stat, Store

_RECORDS_AT_ONCE = 256


def rechunk_records(store: Store, load_embedder: LoadEmbedder, watch: Watch) -> int:
    """Cut all records anew; passages that come out as they were keep their vectors.

    Those that are queued are left out: they will be cut anew when they are read.

    Every record is replaced in one transaction, so that it is found by its old passages or by its
    new ones. Stopped at any moment, the same call does all that is left, and the rest once more.

    Args:
        store: Where they are; the length of chunks is the one in its settings.
        load_embedder: Gives the embedder of the store's main space.
        watch: Told of progress in records, asked to stop between them.

    Returns:
        How many there were.

    Raises:
        TaskCancelledError: `watch` was asked to stop; what was done is kept.
    """
    origins, queued = _origins(store)
    keys = [key for key in store.records() if key not in queued]
    for begin in range(0, len(keys), _RECORDS_AT_ONCE):
        watch.progress("rechunk", begin, len(keys), "records")
        batch = keys[begin : begin + _RECORDS_AT_ONCE]
        with store.snapshot():
            passages = [(key, store.passages(key)) for key in batch]
        texts = [_cut(key, found, origins.get(key)) for key, found in passages if found]
        put_texts(texts, store, load_embedder)
    watch.progress("rechunk", len(keys), len(keys), "records")
    return len(keys)


def _origins(store: Store) -> tuple[dict[str, tuple[int, Stat]], set[str]]:
    """Source, size and time of documents that have a source; and what is queued of them."""
    origins: dict[str, tuple[int, Stat]] = {}
    queued: set[str] = set()
    for source in store.queue.sources():
        origins |= {key: (source.number, stat) for key, stat in store.stats(source.number).items()}
        queued |= store.queue.waiting(source.number).keys()
    return origins, queued


def _cut(
    key: str, passages: Sequence[FoundChunk], origin: tuple[int, Stat] | None
) -> tuple[Document, str]:
    """A record as it was, and its text."""
    first, text = passages[0], whole_text(passages)
    data = text.encode("utf-8", "surrogatepass")
    source, stat = origin or (None, Stat(len(data), 0))
    return (
        Document(
            key=key,
            size_bytes=stat.size_bytes,
            mtime_ns=stat.mtime_ns,
            sha256=hashlib.sha256(data).hexdigest(),
            kind=first.kind,
            language=first.language,
            is_record=True,
            metadata=first.metadata,
            source=source,
        ),
        text,
    )


def whole_text(passages: Sequence[FoundChunk]) -> str:
    """The text that passages were cut from, with each at its place.

    Between passages there was only white space, of which the length and the number of lines are
    known.

    Args:
        passages: All of a document, in its order; they may overlap.
    """
    parts: list[str] = []
    at, line = 0, 1
    for found in passages:
        chunk = found.chunk
        if (gap := chunk.start - at) > 0:
            lines = min(gap, max(0, chunk.start_line - line))
            parts.append(" " * (gap - lines) + "\n" * lines)
        parts.append(chunk.text[max(0, at - chunk.start) :])
        at, line = max(at, chunk.end), max(line, chunk.end_line)
    return "".join(parts)
