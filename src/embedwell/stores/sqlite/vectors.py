"""Which index searches the vectors of each space, and keeping it up with them."""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache

from embedwell.core.errors import (
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
)
from embedwell.stores.index import Index, IndexName
from embedwell.stores.scan.fastscan import fastest
from embedwell.stores.scan.held import EXACT_ROWS
from embedwell.stores.sqlite import segments, statements, vec_index
from embedwell.stores.sqlite.database import Database
from embedwell.stores.sqlite.memory_index import ALL, MemoryIndex
from embedwell.stores.sqlite.vec_index import VecIndex

_CODES = f"codes ({fastest().name})"


class Indexes:
    """The indexes of a file's spaces; nothing is loaded before it is searched.

    Args:
        database: The open file.
        asked: Which index; `auto` is `codes`. One that cannot be had here is replaced by `codes`,
            which is said once in the log and in `kind`.
    """

    def __init__(self, database: Database, asked: IndexName) -> None:
        self._database = database
        self._open: dict[int, Index] = {}
        self._exact_rows = ALL if asked == "exact" else EXACT_ROWS
        self._memory_kind = "exact" if asked == "exact" else _CODES
        self._vec_version = ""
        if asked == "sqlite-vec":
            self._vec_version, missing = load_vec(database)
            if missing:
                _say_missing(missing)
                self._memory_kind = f"{_CODES}, as sqlite-vec is not there: {missing}"
        self._checked: dict[int, object] = {}  # versions of the file by space

    def of(self, number: int, dimensions: int, there: Collection[int]) -> Index:
        """The index of a space; those of spaces that are not there any more are let go of."""
        if number not in self._open:
            self._open = {n: index for n, index in self._open.items() if n in there}
            self._open[number] = self._make(number, dimensions)
        return self._open[number]

    def keep_up(self, number: int, dimensions: int) -> None:
        """Write what belongs to vectors that were added or removed; in their transaction."""
        segments.keep_up(self._database, number, dimensions)
        if self._vec_version:
            vec_index.keep_up(self._database, number, dimensions)

    def catch_up(self, number: int, dimensions: int) -> None:
        """Write what is missing, where this process may write and no other one does."""
        database = self._database
        if database.read_only or database.in_transaction:
            return
        if self._checked.get(number) == database.version:
            return
        with suppress(StoreBusyError, StoreFullError, StoreReadOnlyError):
            while self._is_behind(number):
                with database.transaction():
                    if database.value(statements.GENERATION, (number,)) is not None:
                        self.keep_up(number, dimensions)
                        if self._vec_version:
                            vec_index.drop_others(database)
        self._checked[number] = database.version

    def _is_behind(self, number: int) -> bool:
        with self._database.snapshot():
            if self._database.value(statements.GENERATION, (number,)) is None:
                return False  # it was dropped meanwhile
            return segments.is_behind(self._database, number) or (
                bool(self._vec_version) and vec_index.is_behind(self._database, number)
            )

    def _make(self, number: int, dimensions: int) -> Index:
        memory = MemoryIndex(
            self._memory_kind, self._database, number, dimensions, self._exact_rows
        )
        if not self._vec_version:
            return memory
        return VecIndex(self._vec_version, self._database, number, dimensions, memory)


def load_vec(database: Database) -> tuple[str, str]:
    """Load the sqlite-vec extension into a connection: its version, else why it cannot be."""
    try:
        import sqlite_vec  # noqa: PLC0415 - an extra, loaded where it is asked for
    except ImportError:
        return "", 'install it with `pip install "embedwell[sqlite-vec]"`'
    try:
        database.load_extension(sqlite_vec.loadable_path())
        return str(database.value(statements.VEC_VERSION)), ""
    except StoreError as error:
        return "", error.problem


@lru_cache  # once for each reason
def _say_missing(reason: str) -> None:
    logging.getLogger("embedwell").warning(
        "The index sqlite-vec was asked for and cannot be used (%s); codes are used instead.",
        reason,
    )
