"""Records: texts with a name, and what they can be found by. They travel in the queue itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, BinaryIO, NoReturn

from embedwell.core.errors import ExtractionError, QueueError
from embedwell.ingest.decode import mended
from embedwell.ingest.formats import PLAIN
from embedwell.ingest.sources.protocol import Content
from embedwell.ingest.sources.registry import Surroundings
from embedwell.ingest.walk import Skipped
from embedwell.stores.protocol import ChunkKind
from embedwell.stores.queue import Item, Source

# An index over keys takes a few kilobytes at most, in PostgreSQL 2,704 bytes.
_MOST_ID_BYTES = 1024
# A text may be written with six bytes for a character (`\u00e9`).
_LINE_FACTOR = 6
_MOST_DEPTH = 32
# This many bad lines before the first good one, and it is another kind of file.
_MOST_BAD = 1000


@dataclass(frozen=True)
class Record:
    """A text with a name and values to filter by.

    Attributes:
        id: Its name.
        text: What is cut and embedded.
        metadata: The values.
        kind: Whether it is text or code.
    """

    id: str
    text: str
    metadata: Mapping[str, Any]
    kind: ChunkKind = "text"


class Records:
    """`SourceReader` over records. What is not given again stays.

    Args:
        records: They, and what is wrong with others.
        max_bytes: Longer texts are left out.
        is_whole: Whether these are all that there are.
    """

    def __init__(
        self,
        records: Iterable[Record | Skipped] = (),
        max_bytes: int = PLAIN.max_bytes,
        *,
        is_whole: bool = False,
    ) -> None:
        self._records = records
        self._max_bytes = max_bytes
        self.is_whole = is_whole

    def items(self, on_skipped: Callable[[Skipped], None]) -> Iterator[Item]:
        """Each record that can be stored, the first of those with the same id."""
        seen: set[bytes] = set()
        for record in self._records:
            if isinstance(record, Skipped):
                on_skipped(record)
                continue
            name = hashlib.blake2b(record.id.encode(), digest_size=8).digest()
            item = item_of(record)
            if name in seen:
                on_skipped(Skipped(record.id, "comes twice; the first is kept", "failed"))
            elif item.size_bytes > self._max_bytes:
                reason = f"is {item.size_bytes:,} bytes, the limit is {self._max_bytes:,}"
                on_skipped(Skipped(record.id, reason, "failed"))
            else:
                yield item
            seen.add(name)

    def read(self, item: Item) -> Content:
        """What the queue holds of a record."""
        return content_of(item)


def open_records(source: Source, around: Surroundings) -> Records:
    """The reader of records, which are given only when they are indexed."""
    del source
    return Records(max_bytes=int(PLAIN.max_bytes * around.size_factor))


def item_of(record: Record) -> Item:
    """A record as the queue holds it; its time is a number made of all that it is."""
    payload = json.dumps(
        {"text": record.text, "metadata": dict(record.metadata)}, separators=(",", ":")
    )
    size_bytes = len(record.text.encode("utf-8", "surrogatepass"))
    number = int.from_bytes(hashlib.sha256(payload.encode()).digest()[:8]) >> 1
    return Item(record.id, PLAIN.name, size_bytes, number, payload)


def content_of(item: Item) -> Content:
    """A record as it is read.

    Raises:
        ExtractionError: The queue does not hold it.
    """
    if not item.payload:
        raise ExtractionError("The text is not in the queue.", "Give the record again.")
    held = json.loads(item.payload)
    return Content(held["text"], item.size_bytes, item.mtime_ns, PLAIN, held["metadata"])


def records_in(file: BinaryIO, max_bytes: int = PLAIN.max_bytes) -> Iterator[Record | Skipped]:
    """The records of JSON Lines: `{"id": …, "text": …}` and whatever else there is, a line each.

    Without an id the text names itself. Further fields, and those of `metadata`, are what it can
    be found by.

    Args:
        file: Read line by line, no line at once that is much longer than a text may be.
        max_bytes: Longer lines than such a text needs are left out.

    Raises:
        QueueError: It does not look like JSON Lines.
    """
    n_bad, is_good = 0, False
    for number, line in enumerate(_lines(file, _LINE_FACTOR * max_bytes), 1):
        if line is None:
            found: Record | str = "is longer than any text may be"
        elif not line.strip():
            continue
        else:
            found = record_of(line)
        if isinstance(found, str):
            n_bad += 1
            yield Skipped(f"line {number}", found, "failed")
        else:
            is_good = True
            yield found
        if n_bad >= _MOST_BAD and not is_good:
            raise QueueError(
                f"None of the first {number:,} lines is a record.",
                'Give JSON Lines: {"id": "…", "text": "…"}, a line each.',
            )


def record_of(line: bytes) -> Record | str:
    """The record of a line, or why it is none."""
    try:
        value = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse)
    except UnicodeDecodeError:
        return "is not UTF-8"
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    return _record(value) if isinstance(value, dict) else "is not an object with an id and a text"


def _record(value: dict[str, Any]) -> Record | str:
    text, name = value.pop("text", None), value.pop("id", None)
    if not isinstance(text, str):
        return "has no text"
    if isinstance(name, dict | list | bool):
        return "has an id that is neither text nor a number"
    inner = value.pop("metadata", {})
    metadata = value | (inner if isinstance(inner, dict) else {"metadata": inner})
    return record(text_id(text) if name is None else str(name), text, metadata)


def record(key: str, text: str, metadata: Mapping[str, Any]) -> Record | str:
    """A record that every store takes, or why it is none.

    NUL and lone surrogates in values become U+FFFD, as they do in texts.
    """
    try:
        return bad_id(key) or Record(key, text, _clean(metadata, _MOST_DEPTH))
    except ValueError as error:
        return str(error)


def _clean(value: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON value
    """A value as any store takes it.

    Raises:
        ValueError: It is too deep, or holds a number that JSON has not.
    """
    if depth < 0:
        raise ValueError(f"has values that lie more than {_MOST_DEPTH} deep in one another")
    match value:
        case str():
            return mended(value)
        case float() if not isfinite(value):
            raise ValueError("has a number that is too large")
        case Mapping():
            return {mended(name): _clean(inner, depth - 1) for name, inner in value.items()}
        case list():
            return [_clean(inner, depth - 1) for inner in value]
    return value


def text_id(text: str) -> str:
    """The name of a text that has no other."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def bad_id(key: str) -> str:
    """Why a name cannot be a document's; empty where it can."""
    if not key.strip():
        return "has an empty id"
    try:
        n_bytes = len(key.encode())
    except UnicodeEncodeError:
        return "has an id that is not Unicode"
    if "\0" in key:
        return "has a NUL in its id"
    return f"has an id of {n_bytes:,} bytes" if n_bytes > _MOST_ID_BYTES else ""


def _lines(file: BinaryIO, most: int) -> Iterator[bytes | None]:
    """The lines; None for those that are too long."""
    while line := file.readline(most + 1):
        if len(line) <= most or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(most + 1)
        yield None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")
