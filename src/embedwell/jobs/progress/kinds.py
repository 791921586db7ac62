"""Kinds of failures: errors that differ only by a name, a number or a place are one kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from embedwell.stores.queue import Entry

_MOST_LETTERS = 100
# What differs from file to file: what is quoted or in brackets, paths and file names, numbers.
_VARYING = re.compile(
    r"'[^']*'|\"[^\"]*\"|\([^)]*\)|[^\s:]*[/\\][^\s:]*|\b[\w-]+\.\w{1,8}\b(?=[\s:,]|$)|\d[\d,.:]*\d|\d"
)


@dataclass(frozen=True)
class Failure:
    """Rows that failed for the same reason.

    Attributes:
        kind: The reason, without what differs from row to row.
        n: How many.
        example: Key of one of them.
        error: What it said in full.
    """

    kind: str
    n: int
    example: str
    error: str


def kind_of(error: str) -> str:
    """An error's first sentence, without names, numbers and places."""
    plain = _VARYING.sub("…", error.strip())
    first = re.split(r"(?<=[.!?])\s", plain, maxsplit=1)[0]
    return re.sub(r"\s+", " ", first).strip(" .:;")[:_MOST_LETTERS] or "says nothing"


def by_kind(entries: Iterable[Entry]) -> tuple[Failure, ...]:
    """Rows grouped by kind, the most frequent first."""
    found: dict[str, Failure] = {}
    for entry in entries:
        kind = kind_of(entry.error)
        seen = found.get(kind)
        n, example, error = (
            (seen.n, seen.example, seen.error) if seen else (0, entry.item.key, entry.error)
        )
        found[kind] = Failure(kind, n + 1, example, error)
    return tuple(sorted(found.values(), key=lambda one: (-one.n, one.kind)))
