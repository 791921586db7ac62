"""A folder: every file of a known format below it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from embedwell.core.errors import ExtractionError, QueueError
from embedwell.ingest.formats import format_of
from embedwell.ingest.read import read_stable
from embedwell.ingest.sources.protocol import Content
from embedwell.ingest.sources.registry import Surroundings
from embedwell.ingest.walk import Candidate, Skipped, walk
from embedwell.stores.queue import Item, Source


class Folder:
    """`SourceReader` over a folder.

    Args:
        folder: An existing folder.
        size_factor: Multiplies the size limit of every format.
    """

    def __init__(self, folder: Path, size_factor: float = 1.0) -> None:
        self._folder = folder
        self._size_factor = size_factor

    def items(self, on_skipped: Callable[[Skipped], None]) -> Iterator[Item]:
        """Files of a known format within its size limit."""
        for candidate in walk(self._folder, on_skipped):
            form = format_of(candidate.name, self._size_factor)
            if form is None:
                continue
            if candidate.size_bytes > form.max_bytes:
                reason = f"is {candidate.size_bytes:,} bytes, the limit is {form.max_bytes:,}"
                on_skipped(Skipped(candidate.key, reason))
                continue
            payload = _payload(candidate)
            yield Item(candidate.key, form.name, candidate.size_bytes, candidate.mtime_ns, payload)

    def read(self, item: Item) -> Content:
        """Read a file."""
        path = self._folder / _name(item)
        form = format_of(path.name, self._size_factor)
        if form is None:
            raise ExtractionError(f"{path.name} has no known format.", "Index again.")
        data, status = read_stable(path)
        return Content(data, status.st_size, status.st_mtime_ns, form)


def open_folder(source: Source, around: Surroundings) -> Folder:
    """The folder of a source, where it is on this machine.

    Raises:
        QueueError: It is not there.
    """
    place = around.path_of(source)
    if not place.is_dir():
        raise QueueError(
            f"The folder of source '{source.name}', {place}, is not there.",
            f"Mount it, or say where it is on this machine: `--source {source.name}=FOLDER`.",
        )
    return Folder(place, around.size_factor)


def _payload(candidate: Candidate) -> str:
    """The name in bytes, where the key is not the name: file names need not be Unicode."""
    if candidate.name == candidate.key:
        return ""
    return json.dumps(os.fsencode(candidate.name).hex())


def _name(item: Item) -> str:
    if not item.payload:
        return item.key
    return os.fsdecode(bytes.fromhex(json.loads(item.payload)))
