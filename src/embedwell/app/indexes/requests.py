"""What an index can be asked to be filled from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from embedwell.ingest.sources.sql import Columns


@dataclass(frozen=True)
class FolderRequest:
    """All files below a folder.

    Attributes:
        folder: Which.
        name: What it is called; the folder's own name where it is new and has none.
        include: Patterns of which a file must match one; None keeps those of before.
        exclude: Patterns of what is left out; None keeps those of before.
    """

    folder: Path
    name: str = ""
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None


@dataclass(frozen=True)
class PathsRequest:
    """The files of a list.

    Attributes:
        names: Their paths.
        base: What these are relative to.
        name: What the list is called.
        is_whole: Whether files leave that earlier lists named and this one does not.
    """

    names: Iterable[str]
    base: Path
    name: str = "paths"
    is_whole: bool = False


@dataclass(frozen=True)
class RecordsRequest:
    """The records of JSON Lines.

    Attributes:
        file: The lines.
        name: What they are called together.
        is_whole: Whether records leave that were given before and are not now.
    """

    file: BinaryIO
    name: str = "records"
    is_whole: bool = False


@dataclass(frozen=True)
class QueryRequest:
    """The rows of a query.

    Attributes:
        target: An SQLite file, or the address of a database; its password is not stored.
        query: What gives the rows.
        name: What they are called together.
        columns: What they are.
        write_back: `TABLE.COLUMN` of the same database, where documents' vectors are written.
        key: The column of that table that holds the rows' ids; the id's name by default.
    """

    target: str
    query: str
    name: str
    columns: Columns = field(default_factory=Columns)
    write_back: str = ""
    key: str = ""


@dataclass(frozen=True)
class OtherRequest:
    """A source of a kind that a package brings.

    Attributes:
        kind: The kind.
        place: Where it is, as that kind writes it.
        name: What it is called.
        options: What else it needs to know; values that JSON has.
    """

    kind: str
    place: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AgainRequest:
    """What the index was filled from before.

    Attributes:
        name: One source; empty for each that can be listed again.
        target: The address of a query's database, where its password is needed.
        only_files: Whether queries are left out.
    """

    name: str = ""
    target: str = ""
    only_files: bool = False


Request: TypeAlias = (
    FolderRequest | PathsRequest | RecordsRequest | QueryRequest | OtherRequest | AgainRequest
)
