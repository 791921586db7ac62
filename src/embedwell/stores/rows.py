"""Rows that a query of an application's own gives, read one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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
        f"{shown} refuses the query: {str(said).strip()}.",
        "Give one SELECT that the database can run; it is run read-only.",
    )
