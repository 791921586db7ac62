"""A query over an application's own tables: its rows are records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embedwell.core.errors import QueueError
from embedwell.ingest.formats import PLAIN
from embedwell.ingest.sources.protocol import Content
from embedwell.ingest.sources.records import Record, Records, content_of, record
from embedwell.ingest.sources.registry import Surroundings
from embedwell.ingest.walk import Skipped
from embedwell.stores.queue import Item, Source
from embedwell.stores.registry import open_rows


@dataclass(frozen=True)
class Columns:
    """Which columns of a query are what; the others can be found by.

    Attributes:
        id: The one that tells rows apart.
        text: Those whose texts, joined by lines, are the document.
    """

    id: str = "id"
    text: tuple[str, ...] = ("text",)

    @staticmethod
    def of(options: Mapping[str, Any]) -> Columns:
        """Those of a source."""
        return Columns(options.get("id", "id"), tuple(options.get("text", ("text",))))

    def check(self, names: Sequence[str]) -> None:
        """See whether a query gives them.

        Raises:
            QueueError: It does not.
        """
        if missing := [name for name in (self.id, *self.text) if name not in names]:
            raise QueueError(
                f"The query gives no column '{missing[0]}'; it gives {', '.join(names)}.",
                "Name the columns with `--id COLUMN` and `--text COLUMN`, or in the query.",
            )


class Query:
    """`SourceReader` over the rows of a query.

    Args:
        target: The address of the database, or an SQLite file.
        query: What gives the rows.
        columns: What they are.
        max_bytes: Longer texts are left out.
    """

    is_whole = True

    def __init__(
        self, target: str, query: str, columns: Columns, max_bytes: int = PLAIN.max_bytes
    ) -> None:
        self._target = target
        self._query = query
        self._columns = columns
        self._max_bytes = max_bytes

    def items(self, on_skipped: Callable[[Skipped], None]) -> Iterator[Item]:
        """The rows as records."""
        with open_rows(self._target, self._query) as found:
            self._columns.check(found.names)
            rows = (
                self._record(number, dict(zip(found.names, row, strict=True)))
                for number, row in enumerate(found.rows, 1)
            )
            yield from Records(rows, self._max_bytes).items(on_skipped)

    def read(self, item: Item) -> Content:
        """What the queue holds of a row."""
        return content_of(item)

    def _record(self, number: int, values: dict[str, Any]) -> Record | Skipped:
        key = values.pop(self._columns.id)
        place = f"row {number}" if key is None else str(key)
        texts = [values.pop(name) for name in self._columns.text]
        if any(isinstance(text, bytes | memoryview) for text in texts):
            return Skipped(place, "has bytes where a text should be", "failed")
        text = "\n".join(str(text) for text in texts if text is not None and str(text).strip())
        if key is None or not text:
            return Skipped(place, "has no id" if key is None else "has no text")
        plain = {name: _plain(value) for name, value in values.items()}
        known = {name: value for name, value in plain.items() if value is not None}
        found = record(str(key), text, known)
        return Skipped(place, found, "failed") if isinstance(found, str) else found


def open_sql(source: Source, around: Surroundings) -> Query:
    """The query of a source; reading its rows from the queue needs no database."""
    options = source.options
    max_bytes = int(PLAIN.max_bytes * around.size_factor)
    return Query(source.place, options["query"], Columns.of(options), max_bytes)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a database
    """A value as JSON has it: times, numbers of any length and the like as text."""
    match value:
        case None | bool() | int() | float() | str() | list() | dict():
            return value
        case bytes() | memoryview():  # such as a vector
            return None
    return str(value)
