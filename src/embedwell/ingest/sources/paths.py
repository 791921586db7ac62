"""A list of files: only those that are named."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from embedwell.ingest.formats import format_of
from embedwell.ingest.sources.folder import Folder, payload_of, too_large
from embedwell.ingest.sources.protocol import Content
from embedwell.ingest.sources.registry import Surroundings
from embedwell.ingest.walk import Skipped
from embedwell.stores.queue import Item, Source

_AT_ONCE = 1 << 16
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


class Paths:
    """`SourceReader` over files that somebody named. What a list does not name stays.

    Args:
        base: The folder that keys are relative to; files elsewhere have their whole path as key.
        names: Keys, or paths relative to the base.
        size_factor: Multiplies the size limit of every format.
        taken: Folders whose files are in the index already, with the name of their source.
        is_whole: Whether what the list does not name has gone.
    """

    def __init__(
        self,
        base: Path,
        names: Iterable[str] = (),
        size_factor: float = 1.0,
        taken: Iterable[tuple[Path, str]] = (),
        *,
        is_whole: bool = False,
    ) -> None:
        self.is_whole = is_whole
        self._base = base
        self._names = names
        self._size_factor = size_factor
        self._taken = tuple(taken)
        self._folder = Folder(base, size_factor)

    def items(self, on_skipped: Callable[[Skipped], None]) -> Iterator[Item]:
        """The named files that are there and can be read."""
        for name in self._names:
            found = self._look(name)
            if isinstance(found, Skipped):
                on_skipped(found)
            else:
                yield found

    def read(self, item: Item) -> Content:
        """Read a file."""
        return self._folder.read(item)

    def _look(self, name: str) -> Item | Skipped:
        path = Path(os.path.abspath(self._base / name))  # noqa: PTH100 - links stay as named
        inside = path.relative_to(self._base) if path.is_relative_to(self._base) else path
        key = os.fsencode(inside.as_posix()).decode("utf-8", "backslashreplace")
        source = next((name for folder, name in self._taken if path.is_relative_to(folder)), None)
        if source is not None:
            return Skipped(key, f"lies in the folder of source '{source}'", "failed")
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return Skipped(key, "is not there", "gone")
        except (OSError, ValueError) as error:  # a NUL in it
            return Skipped(key, f"cannot be read: {error}", "failed")
        form = format_of(path.name, self._size_factor)
        if form is None or not stat.S_ISREG(status.st_mode):
            why = "has no format that is indexed" if form is None else "is not a file"
            return Skipped(key, why, "failed")
        if status.st_size > form.max_bytes:
            return Skipped(key, too_large(status.st_size, form), "failed")
        payload = payload_of(inside.as_posix(), key)
        return Item(key, form.name, status.st_size, status.st_mtime_ns, payload)


def open_paths(source: Source, around: Surroundings) -> Paths:
    """The reader of a list, which is given only when it is indexed."""
    return Paths(around.path_of(source), (), around.size_factor)


def name_of(key: str) -> str:
    """The name of a file by its key, in which bytes that are not Unicode are written out."""
    found = _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), key.encode())
    return os.fsdecode(found)


def names_in(file: BinaryIO, *, separator: bytes = b"\n") -> Iterator[str]:
    """The names in a list.

    Args:
        file: One name a line, in the system's encoding; empty lines tell nothing.
        separator: What stands after each name: a line's end, or NUL.
    """
    rest = b""
    while block := file.read(_AT_ONCE):
        *whole, rest = (rest + block).split(separator)
        yield from map(os.fsdecode, filter(None, map(_trimmed(separator), whole)))
    if last := _trimmed(separator)(rest):
        yield os.fsdecode(last)


def _trimmed(separator: bytes) -> Callable[[bytes], bytes]:
    """Takes what Windows writes before a line's end."""
    return (lambda name: name.removesuffix(b"\r")) if separator == b"\n" else (lambda name: name)
