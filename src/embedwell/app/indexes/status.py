"""What an index holds, and how it compares with its folder now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embedwell.app.config.place import shown_target
from embedwell.app.indexes.index import Index
from embedwell.app.indexes.progress import Ingestion, Observer
from embedwell.ingest.sources.folder import Folder, Patterns
from embedwell.ingest.walk import Skipped
from embedwell.jobs.sweeping.changes import compare
from embedwell.stores.spaces import StoredSpace


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
class SpaceStatus:
    """One of an index's spaces.

    Attributes:
        number: Its name in the index.
        role: `main` is searched, and so is `code`; `light` for when the main model does not fit;
            `next` is being filled by a migration; `kept` was the main or the code one.
        holds: The kinds of documents that it has vectors of: `text`, `code`.
        model: Its model.
        dimensions: Length of its vectors.
        missing: Chunks of these kinds that have no vector in it.
        builds: What has proved fit for it, the first writer's first.
    """

    number: int
    role: str
    holds: tuple[str, ...]
    model: str
    dimensions: int
    missing: int
    builds: tuple[str, ...]


@dataclass(frozen=True)
class SourceStatus:
    """One of the things that an index is filled from.

    Attributes:
        name: What `--name` and `--source` call it.
        kind: `folder`, `paths`, `records`, `sql`, or what a package brings.
        place: Where it is; empty for the folder that the index lies in, and for records.
        prefix: What the keys of its documents begin with.
    """

    name: str
    kind: str
    place: str
    prefix: str


@dataclass(frozen=True)
class Status:
    """An index at a glance.

    Attributes:
        db: The index file, or the address of the database.
        folder: The folder that it speaks of, if its place tells.
        documents: Documents in it.
        chunks: Passages in it.
        size_bytes: Bytes on disk.
        model: The model of its space.
        dimensions: Length of its vectors.
        space: Id of its space.
        made_by: Who created it.
        index: How its vectors are searched.
        spaces: All spaces that it holds vectors of.
        sources: What it is filled from, the first one first.
        stale: How the folder differs from it; None where the folder is unknown.
        ingestion: How far the newest run is; None where nothing was ever queued.
    """

    db: str
    folder: Path | None
    documents: int
    chunks: int
    size_bytes: int
    model: str
    dimensions: int
    space: str
    made_by: str
    index: str
    spaces: tuple[SpaceStatus, ...]
    sources: tuple[SourceStatus, ...]
    stale: Stale | None
    ingestion: Ingestion | None


def status(index: Index) -> Status:
    """Look at an index and at its folder; nothing is read but names, sizes and times."""
    counts = index.counts()
    return Status(
        db=shown_target(index.target),
        folder=index.folder,
        documents=counts.documents,
        chunks=counts.chunks,
        size_bytes=counts.size_bytes,
        model=index.space.model,
        dimensions=index.space.dimensions,
        space=index.space.id,
        made_by=index.store.settings.made_by,
        index=index.store.index_kind,
        spaces=tuple(_space(index, stored) for stored in index.store.spaces.all()),
        sources=tuple(
            SourceStatus(one.name, one.kind, one.place, one.prefix) for one in index.sources()
        ),
        stale=_stale(index, index.folder) if index.folder else None,
        ingestion=Observer().look(index.store.queue),
    )


def _space(index: Index, stored: StoredSpace) -> SpaceStatus:
    spaces = index.store.spaces
    return SpaceStatus(
        number=stored.number,
        role=stored.role,
        holds=stored.holds,
        model=stored.space.model,
        dimensions=stored.space.dimensions,
        missing=spaces.n_missing(stored.number),
        builds=tuple(str(admission.build) for admission in spaces.admissions(stored.number)),
    )


def _stale(index: Index, folder: Path) -> Stale | None:
    """How the index's own folder differs; None where it is filled from other things only."""
    sources = index.sources()
    home = next((one for one in sources if one.kind == "folder" and not one.place), None)
    if sources and home is None:
        return None
    patterns = Patterns.of(home.options if home else {})
    reader = Folder(folder, index.size_factor, patterns.include, patterns.exclude)
    told: list[Skipped] = []
    stored = index.store.stats(home.number if home else 0)
    changes = compare(reader.items(told.append), stored, told)
    return Stale(tuple(item.key for item in changes.to_read), changes.gone)
