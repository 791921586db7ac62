"""The kinds of sources. Third parties add theirs under the entry point `embedwell.sources`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, cast

from embedwell.core.errors import QueueError
from embedwell.ingest.sources.protocol import SourceReader
from embedwell.stores.queue import Source

SOURCES = {
    "folder": "embedwell.ingest.sources.folder:open_folder",
    "paths": "embedwell.ingest.sources.paths:open_paths",
    "records": "embedwell.ingest.sources.records:open_records",
    "sql": "embedwell.ingest.sources.sql:open_sql",
}


@dataclass(frozen=True)
class Surroundings:
    """What a source is opened with, beside what the store says of it.

    Attributes:
        home: The folder that the index lies in, if it lies in one.
        size_factor: Multiplies the size limit of every format.
        moved: Where sources are on this machine, by name, if not where the store says.
    """

    home: Path | None = None
    size_factor: float = 1.0
    moved: Mapping[str, Path] = field(default_factory=dict)

    def path_of(self, source: Source) -> Path:
        """Where a source's folder is on this machine.

        Raises:
            QueueError: Nobody says where it is.
        """
        place = self.moved.get(source.name) or (Path(source.place) if source.place else self.home)
        if place is None:
            raise QueueError(
                f"Where the folder of source '{source.name}' is, this index does not say.",
                f"Name it: `embedwell index FOLDER --name {source.name}`, or for a worker "
                f"`--source {source.name}=FOLDER`.",
            )
        return place


class OpenSource(Protocol):
    """Opens a source of one kind for reading."""

    def __call__(self, source: Source, around: Surroundings) -> SourceReader:
        """Open.

        Raises:
            QueueError: It is not there, or cannot be used.
        """
        ...


def open_source(source: Source, around: Surroundings) -> SourceReader:
    """The reader of a source.

    Args:
        source: As the store has it.
        around: What it is opened with.

    Raises:
        QueueError: There is no such kind, or it cannot be opened.
    """
    if place := SOURCES.get(source.kind):
        module, attribute = place.split(":")
        return cast("OpenSource", getattr(import_module(module), attribute))(source, around)
    for entry in entry_points(group="embedwell.sources", name=source.kind):
        return cast("OpenSource", entry.load())(source, around)
    raise QueueError(
        f"There is no kind of source '{source.kind}'.",
        f"Known here: {', '.join(SOURCES)}; install the package that brings the other.",
    )
