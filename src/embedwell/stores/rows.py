"""Rows that a query of an application's own gives, read one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from embedwell.core.errors import QueueError


@dataclass(frozen=True)
class QueriedRows:
    """What a query gives.

    Attributes:
        names: Of its columns.
        rows: Its rows, each with as many values; read as they are asked for.
    """

    names: Sequence[str]
    rows: Iterator[Sequence[Any]]


def bad_query(shown: str, said: object) -> QueueError:
    """The error for a query that the database refuses."""
    return QueueError(
        f"{shown} refuses the query: {str(said).strip().rstrip('.')}.",
        "Give one SELECT that the database can run; it is run read-only.",
    )


@dataclass(frozen=True)
class VectorPlace:
    """A column that is given vectors.

    Attributes:
        table: Its table.
        column: Its name.
        key: The column that tells rows apart.
    """

    table: str
    column: str
    key: str


class VectorColumn(Protocol):
    """Writes vectors beside the rows that they are of."""

    def write(self, rows: Sequence[tuple[str, bytes | None]]) -> int:
        """Write vectors (float32, little-endian; None for none) by key, all or none.

        Returns:
            How many rows changed.
        """
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
