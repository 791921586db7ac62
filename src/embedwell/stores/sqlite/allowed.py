"""Which chunks a filter lets through: asked once for each filter while the file stays the same."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

import numpy as np

from embedwell.core.vectors import IntArray
from embedwell.stores.filters import check_filter, metadata_rows, path_pattern
from embedwell.stores.sqlite import statements
from embedwell.stores.sqlite.database import Database
from embedwell.stores.values import Filter

KEPT = 4
"""Filters whose ids are kept: 8 bytes for each chunk that one lets through."""

_Conditions: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
_AFTER_ALL = "\U0010ffff"


class Allowed:
    """The ids that filters let through.

    Args:
        database: The open file.
        collection: Number of the collection.
    """

    def __init__(self, database: Database, collection: int) -> None:
        self._database = database
        self._collection = collection
        self._version: object = None
        self._kept: OrderedDict[_Conditions, IntArray] = OrderedDict()
        database.add_function("path_matches", _path_matches)

    def ids(self, where: Filter) -> IntArray | None:
        """Ids of the chunks that a filter lets through, ascending; None for all.

        Raises:
            QueryError: The filter cannot be applied.
        """
        if where == Filter():
            return None
        check_filter(where)
        if self._version != self._database.version:
            self._kept.clear()
            self._version = self._database.version
        conditions = tuple(_conditions(where))
        if conditions not in self._kept:
            self._kept[conditions] = self._read(conditions)
        self._kept.move_to_end(conditions)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[conditions]

    def _read(self, conditions: _Conditions) -> IntArray:
        """A document's chunks have consecutive ids, so its first and last are enough."""
        statement = statements.ALLOWED_SPANS.format(
            conditions=" ".join(text for text, _ in conditions)
        )
        parameters = [self._collection, *(value for _, row in conditions for value in row)]
        rows = self._database.rows(statement, parameters)
        spans = np.array([row for row in rows if row[0] is not None], np.int64).reshape(-1, 2)
        return ids_in(spans[np.argsort(spans[:, 0])])


def ids_in(spans: IntArray) -> IntArray:
    """All ids from each first to its last: int64, ascending.

    Args:
        spans: int64, shape (n, 2), ascending, not overlapping.
    """
    first, lengths = spans[:, 0], spans[:, 1] - spans[:, 0] + 1
    before = np.cumsum(lengths) - lengths  # of all spans in front
    ids: IntArray = np.arange(lengths.sum()) + np.repeat(first - before, lengths)
    return ids


def literal_prefix(glob: str) -> str:
    """What every key that a glob matches begins with; empty where nothing is sure."""
    if "/" not in glob:
        return ""  # looked for in every folder
    plain = glob.removeprefix("./").removeprefix("/")
    return plain[: min((at for at in map(plain.find, "*?[") if at >= 0), default=len(plain))]


def _conditions(where: Filter) -> list[tuple[str, tuple[str, ...]]]:
    conditions: list[tuple[str, tuple[str, ...]]] = []
    if where.path:
        if prefix := literal_prefix(where.path):  # first: it is quicker
            conditions.append((statements.IF_PREFIX, (prefix, prefix + _AFTER_ALL)))
        conditions.append((statements.IF_PATH, (where.path,)))
    if where.language:
        conditions.append((statements.IF_LANGUAGE, (where.language,)))
    if where.kind is not None:
        conditions.append((statements.IF_KIND, (where.kind,)))
    return conditions + [(statements.IF_METADATA, row) for row in metadata_rows(where.metadata)]


def _path_matches(key: str, glob: str) -> bool:
    return path_pattern(glob).fullmatch(key) is not None
