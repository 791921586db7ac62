"""A folder: every file of a known format below it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec

from embedwell.core.errors import ExtractionError, QueueError
from embedwell.ingest.formats import Format, format_of
from embedwell.ingest.read import read_stable
from embedwell.ingest.sources.protocol import Content
from embedwell.ingest.sources.registry import Surroundings
from embedwell.ingest.walk import Skipped, is_pattern, walk
from embedwell.stores.queue import Item, Source


@dataclass(frozen=True)
class Patterns:
    """Which files of a folder are wanted, as `.gitignore` writes it.

    Attributes:
        include: One of these must match; any file where there are none.
        exclude: What is left out, beside what `.gitignore` files say.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @staticmethod
    def of(options: Mapping[str, Any]) -> Patterns:
        """Those of a source."""
        return Patterns(tuple(options.get("include", ())), tuple(options.get("exclude", ())))

    def as_options(self) -> dict[str, list[str]]:
        """What a source keeps of them."""
        given = {"include": list(self.include), "exclude": list(self.exclude)}
        return {name: patterns for name, patterns in given.items() if patterns}

    def check(self) -> None:
        """See whether they are understood.

        Raises:
            QueueError: One is not.
        """
        for pattern in (*self.include, *self.exclude):
            if not is_pattern(pattern):
                raise QueueError(
                    f"The pattern {pattern!r} is not understood.", "Write it as in a `.gitignore`."
                )


class Folder:
    """`SourceReader` over a folder.

    Args:
        folder: An existing folder.
        size_factor: Multiplies the size limit of every format.
        include: Patterns, one of which a file must match; any file where there are none.
        exclude: Patterns of what is left out.
    """

    is_whole = True

    def __init__(
        self,
        folder: Path,
        size_factor: float = 1.0,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._size_factor = size_factor
        self._include = GitIgnoreSpec.from_lines(include) if include else None
        self._exclude = exclude

    def items(self, on_skipped: Callable[[Skipped], None]) -> Iterator[Item]:
        """Files of a known format within its size limit."""
        for candidate in walk(self._folder, on_skipped, self._exclude):
            if self._include is not None and not self._include.match_file(candidate.key):
                continue
            form = format_of(candidate.name, self._size_factor)
            if form is None:
                continue
            if candidate.size_bytes > form.max_bytes:
                on_skipped(Skipped(candidate.key, too_large(candidate.size_bytes, form)))
                continue
            payload = payload_of(candidate.name, candidate.key)
            yield Item(candidate.key, form.name, candidate.size_bytes, candidate.mtime_ns, payload)

    def read(self, item: Item) -> Content:
        """Read a file."""
        path = self._folder / _name(item)
        form = format_of(path.name, self._size_factor)
        if form is None:
            raise ExtractionError(f"{path.name} has no known format.", "Index again.")
        try:
            data, status = read_stable(path, form.max_bytes)
        except FileNotFoundError:
            self._check_mounted()
            raise
        return Content(data, status.st_size, status.st_mtime_ns, form)

    def _check_mounted(self) -> None:
        """A file has gone; see that not all of them have, as when a disk is taken away.

        Raises:
            OSError: The folder is not there, or empty: worth another try later.
        """
        if not self._folder.is_dir() or next(self._folder.iterdir(), None) is None:
            raise OSError(errno.ESTALE, "The folder is empty or not there", str(self._folder))


def open_folder(source: Source, around: Surroundings) -> Folder:
    """The folder of a source, where it is on this machine.

    Raises:
        QueueError: It is not there.
    """
    place = around.path_of(source)
    if not place.is_dir():
        raise QueueError(
            f"The folder of source '{source.name}', {place}, is not there.",
            f"Mount it. If it moved: `embedwell index FOLDER --name {source.name}`. Where it is "
            f"elsewhere on a worker's machine: `embedwell work --source {source.name}=FOLDER`.",
        )
    patterns = Patterns.of(source.options)
    return Folder(place, around.size_factor, patterns.include, patterns.exclude)


def too_large(size_bytes: int, form: Format) -> str:
    """Why a file is not read."""
    return f"is {size_bytes:,} bytes, the limit is {form.max_bytes:,}"


def payload_of(name: str, key: str) -> str:
    """The name in bytes, where the key is not the name: file names need not be Unicode."""
    return "" if name == key else json.dumps(os.fsencode(name).hex())


def _name(item: Item) -> str:
    if not item.payload:
        return item.key
    return os.fsdecode(bytes.fromhex(json.loads(item.payload)))
