"""What every source of documents does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from embedwell.ingest.formats import Format
from embedwell.ingest.walk import Skipped
from embedwell.stores.queue import Item


@dataclass(frozen=True)
class Content:
    """What was read of a file or record.

    Attributes:
        data: The bytes of a file, or the text of a record.
        size_bytes: Size of the file, or of the text in UTF-8.
        mtime_ns: Modification time; for records the number that their item has.
        format: How it is read and cut.
        metadata: What it can be found by.
    """

    data: bytes | str
    size_bytes: int
    mtime_ns: int
    format: Format
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_record(self) -> bool:
        """Whether it is a record."""
        return isinstance(self.data, str)


class SourceReader(Protocol):
    """Lists what a source holds, and reads it, perhaps on another machine.

    Listing belongs to one thread; reading is safe from several.
    """

    @property
    def is_whole(self) -> bool:
        """Whether it lists all that it holds, so that what it does not list has gone."""
        ...

    def items(self, on_skipped: Callable[[Skipped], None]) -> Iterator[Item]:
        """All that is worth reading, in a stable order, by key without the source's prefix.

        Args:
            on_skipped: Told of what is left out, and of what cannot be listed as it should.

        Raises:
            QueueError: The source cannot be listed at all.
        """
        ...

    def read(self, item: Item) -> Content:
        """Read one, given by its key without the source's prefix.

        Raises:
            ExtractionError: It is not what it was, or cannot be used.
            FileNotFoundError: It has gone.
            OSError: It cannot be read now.
        """
        ...
