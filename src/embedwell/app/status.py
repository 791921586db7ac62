"""What an index holds, and how it compares with its folder now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embedwell.app.index import Index
from embedwell.jobs.changes import compare
from embedwell.jobs.index import worth_indexing


@dataclass(frozen=True)
class Stale:
    """Files that the next `embedwell index` would have to look at.

    Attributes:
        changed: New files, and files whose size or time differs.
        gone: Files that are stored and no longer there.
    """

    changed: tuple[str, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """An index at a glance.

    Attributes:
        db: The index file.
        folder: The folder that it speaks of, if its place tells.
        documents: Documents in it.
        chunks: Passages in it.
        size_bytes: Bytes on disk.
        model: The model of its space.
        dimensions: Length of its vectors.
        space: Id of its space.
        made_by: Who created it.
        stale: How the folder differs from it; None where the folder is unknown.
    """

    db: Path
    folder: Path | None
    documents: int
    chunks: int
    size_bytes: int
    model: str
    dimensions: int
    space: str
    made_by: str
    stale: Stale | None


def status(index: Index) -> Status:
    """Look at an index and at its folder; nothing is read but names, sizes and times."""
    counts = index.counts()
    return Status(
        db=index.file,
        folder=index.folder,
        documents=counts.documents,
        chunks=counts.chunks,
        size_bytes=counts.size_bytes,
        model=index.space.model,
        dimensions=index.space.dimensions,
        space=index.space.id,
        made_by=index.store.settings.made_by,
        stale=_stale(index, index.folder) if index.folder else None,
    )


def _stale(index: Index, folder: Path) -> Stale:
    found = worth_indexing(folder, index.size_factor, lambda _: None)
    changes = compare(found, index.store.stats())
    return Stale(tuple(candidate.key for candidate in changes.to_read), changes.gone)
