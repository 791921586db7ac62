"""Deleting documents by source, run or status, and giving their space back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from embedwell.app.indexes.index import Index
from embedwell.core.errors import MigrationError, StoreBusyError, StoreFullError
from embedwell.stores.leases import check_which
from embedwell.stores.queue import Entry, Purged, Which
from embedwell.stores.spaces import EVERYTHING

SMALL_BYTES = 100 << 20
"""A smaller store is compacted in a second or two, whatever went."""
SHARE = 10
"""A larger one where a tenth of it went: it is written anew, or its index is."""
_VALUE_BYTES = 2


@dataclass(frozen=True)
class PurgeReport:
    """What a purge took away.

    Attributes:
        rows: How many rows by table.
        n_bytes: About how many bytes they took.
        given_back_bytes: How many bytes the system has back now.
        kept: Why that is less; empty where all was given back.
    """

    rows: Mapping[str, int]
    n_bytes: int
    given_back_bytes: int
    kept: str = ""


def purge(index: Index, which: Which) -> PurgeReport:
    """Remove rows of the queue with their documents, and give their space back.

    Args:
        index: Of which.
        which: What; an empty one empties the index.

    Raises:
        QueueError: There is no such source or run.
        StoreBusyError: Another process is indexing.
    """
    store = index.store
    with store.writing():
        size = store.counts().size_bytes
        gone = store.queue.purge(which)
        if not any(gone.rows.values()):
            return PurgeReport(gone.rows, 0, 0)
        if size > SMALL_BYTES and gone.n_bytes * SHARE < size:
            kept = "It is little: new documents fill it, or `embedwell compact` gives it back."
            return PurgeReport(gone.rows, gone.n_bytes, 0, kept)
        try:
            done = store.compact()
        except (StoreBusyError, StoreFullError) as error:
            kept = f"{error.problem} {error.remedy} Then `embedwell compact` gives it back."
            return PurgeReport(gone.rows, gone.n_bytes, 0, kept)
    return PurgeReport(gone.rows, gone.n_bytes, max(done.before_bytes - done.after_bytes, 0))


def space_plan(index: Index, role: Literal["next", "light", "kept"]) -> Purged:
    """What dropping all spaces of a role takes away.

    Raises:
        MigrationError: There is none.
    """
    store = index.store
    found = [stored for stored in store.spaces.all() if stored.role == role]
    if not found:
        raise MigrationError(f"The index has no '{role}' space.", "See `embedwell status`.")
    n_chunks = {kind: store.n_chunks(kind) for kind in EVERYTHING}
    n = [
        sum(n_chunks[kind] for kind in stored.holds) - store.spaces.n_missing(stored.number)
        for stored in found
    ]
    sizes = [_VALUE_BYTES * stored.space.dimensions for stored in found]
    n_bytes = sum(count * size for count, size in zip(n, sizes, strict=True))
    return Purged({"spaces": len(found), "vectors": sum(n)}, n_bytes)


def entries(index: Index, which: Which, n: int) -> list[Entry]:
    """The first n rows of the queue that are meant.

    Raises:
        QueueError: There is no such source or run.
    """
    check_which(which, index.store.queue.sources(), index.store.queue.runs())
    return index.store.queue.entries(which, n)


def retry(index: Index, which: Which) -> int:
    """Queue rows that failed or were given up anew; gives how many there are.

    Raises:
        QueueError: There is no such source or run.
        StoreError: The index cannot be written.
    """
    check_which(which, index.store.queue.sources(), index.store.queue.runs())
    return index.store.queue.retry(which)
