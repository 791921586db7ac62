"""Cut what programs have added anew, after the length of chunks has changed."""

from __future__ import annotations

from collections.abc import Sequence

from embedwell.core.events import Watch
from embedwell.jobs.put import LoadEmbedder
from embedwell.jobs.records import Record, add_records
from embedwell.stores.protocol import FoundChunk, Store

_RECORDS_AT_ONCE = 256


def rechunk_records(store: Store, load_embedder: LoadEmbedder, watch: Watch) -> int:
    """Cut all records anew; passages that come out as they were keep their vectors.

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
    keys = store.records()
    for begin in range(0, len(keys), _RECORDS_AT_ONCE):
        watch.progress("rechunk", begin, len(keys), "records")
        batch = keys[begin : begin + _RECORDS_AT_ONCE]
        with store.snapshot():
            passages = [(key, store.passages(key)) for key in batch]
        records = [
            Record(key, whole_text(found), found[0].metadata) for key, found in passages if found
        ]
        add_records(records, store, load_embedder)
    watch.progress("rechunk", len(keys), len(keys), "records")
    return len(keys)


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
