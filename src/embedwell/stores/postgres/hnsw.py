"""The index over vectors: when it should be there, and how it is built beside others' work.

Whoever builds or drops one holds a lock of its own, on the connection that does it: a builder that
was killed keeps it until the server has noticed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedwell.core.errors import StoreBusyError, StoreError, StoreFullError
from embedwell.core.events import Watch
from embedwell.stores.postgres import statements
from embedwell.stores.postgres.database import Database
from embedwell.stores.postgres.faults import faults_named
from embedwell.stores.postgres.statements import of_space

if TYPE_CHECKING:
    from psycopg import Connection

INDEXED_ROWS = 10_000
"""Fewer vectors are compared one by one, which takes a few milliseconds and misses none."""
MOST_INDEXED_DIMENSIONS = 4_000
"""That pgvector's HNSW takes of halfvec."""
LARGE_LOAD = 10_000
"""Documents of a load for which the index is dropped; see `is_wanted`."""
BUILT_FROM_SHARE, BUILT_FROM = 0.1, 100_000
"""Share of a large load, or documents of it, from which on there is an index again."""
ORDINARY_FACTOR = 2.0
"""How many times larger or smaller than `ordinary_ratio` an index may be and nothing is said."""
POLL_S = 1.0
"""Seconds between two looks at how far a building is."""

# HNSW keeps each vector, 2·m links of 8 bytes on its lowest level, and a head.
_LINK_BYTES = 320
_PAGE_BYTES = 8_160
_LEAST_MEMORY_BYTES, _MOST_MEMORY_BYTES = 64 << 20, 2 << 30

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Load:
    """How far a load is, in documents.

    Attributes:
        n_stored: That the collection has.
        n_loaded: Of them, those that came with this load.
        n_waiting: That are still to come.
    """

    n_stored: int
    n_loaded: int
    n_waiting: int


def is_wanted(load: Load) -> bool:
    """Whether there should be an index now.

    A load is large if it brings `LARGE_LOAD` documents or more, and at least as many as there were:
    then building the index over all of them at once takes less than adding to it one by one. It is
    wanted again from a tenth of them on, so that searches need not wait for the end.
    """
    n_load = load.n_loaded + load.n_waiting
    if n_load < LARGE_LOAD or n_load < load.n_stored - load.n_loaded:
        return True
    return not load.n_waiting or load.n_loaded >= min(BUILT_FROM_SHARE * n_load, BUILT_FROM)


def ordinary_ratio(dimensions: int) -> float:
    """Bytes of an index over those of its table, as both are when new.

    Of pgvector's hnsw.h: a page takes 8,160 bytes; of each vector it has 2 bytes a dimension and
    288 more, among them 2·m links of 6 bytes, and none is on two pages. A row of the table has 44
    bytes beside. docs/postgres.md says how near that is to what was measured.
    """
    per_page = max(_PAGE_BYTES // (2 * dimensions + 288), 1)
    return _PAGE_BYTES / per_page / (2 * dimensions + 44)


def is_ordinary(index_bytes: int, table_bytes: int, dimensions: int) -> bool:
    """Whether an index has about the size that its table's lets expect."""
    usual = ordinary_ratio(dimensions) * table_bytes
    return usual / ORDINARY_FACTOR <= index_bytes <= usual * ORDINARY_FACTOR


def index_memory(n_rows: int, dimensions: int) -> int:
    """Bytes that an index needs to be built in memory: far faster than beyond it."""
    needed = n_rows * (2 * dimensions + _LINK_BYTES)
    return min(max(needed, _LEAST_MEMORY_BYTES), _MOST_MEMORY_BYTES)


class Hnsw:
    """The indexes over the vectors of one database, space by space."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_there(self, number: int) -> bool:
        """Whether there is an index over the vectors of a space that can be used."""
        return bool(self._database.value(of_space(statements.HAS_INDEX, number)))

    def tend(self, number: int, dimensions: int, load: Load, watch: Watch) -> None:
        """Drop or build the index of a space, as a load needs it; see `Store.tend_index`.

        Where another process does so at this moment, nothing is done.
        """
        with suppress(StoreBusyError):
            if is_wanted(load):
                self.ensure(number, dimensions, watch)
            elif self._database.value(of_space(statements.KNOWS_INDEX, number)):
                with self._building(number) as connection:
                    connection.execute(of_space(statements.DROP_INDEX_BESIDE, number))

    def ensure(self, number: int, dimensions: int, watch: Watch) -> None:
        """Build the index over the vectors of a space, if it is worth it and not there.

        Others go on reading and writing meanwhile. Killed in it, one that is not used remains,
        which the next one to come replaces.

        Raises:
            StoreBusyError: Another process builds it.
            TaskCancelledError: `watch` was asked to stop.
        """
        if dimensions > MOST_INDEXED_DIMENSIONS or self.is_there(number):
            return
        enough = of_space(statements.N_AT_LEAST, number)
        if self._database.value(enough, (INDEXED_ROWS,)) < INDEXED_ROWS:
            return
        with self._building(number) as connection:
            if not self.is_there(number):  # while this one came here, another one built it
                work = (statements.DROP_INDEX_BESIDE, statements.CREATE_INDEX)
                self._maintain(connection, work, number, dimensions, watch)

    def rebuild(self, number: int, dimensions: int) -> None:
        """Make the index of a space anew, if it has one; searches go on meanwhile."""
        if not self._database.value(of_space(statements.KNOWS_INDEX, number)):
            return
        with self._building(number) as connection:
            work = (statements.DROP_UNFINISHED, statements.REBUILD_INDEX)
            self._maintain(connection, work, number, dimensions, Watch())

    def look_at_size(self, number: int, dimensions: int) -> None:
        """Say so where an index is far larger or smaller than its table lets expect."""
        if not self.is_there(number):
            return
        index, table = self._database.rows(of_space(statements.SIZES_OF_INDEX, number))[0]
        if not is_ordinary(index, table, dimensions):
            _log.warning(
                "The index over the vectors of %s has %.1f MB, its table %.1f MB: %.1f times as "
                "much, where %.1f times is ordinary. Run `embedwell compact`.",
                *(self._database.shown, index / 1e6, table / 1e6, index / table),
                ordinary_ratio(dimensions),
            )

    @contextmanager
    def _building(self, number: int) -> Iterator[Connection]:
        names = self._database.names
        purpose = f"building the index of {self._database.shown}"
        name = f"index {number} of {names.schema}"
        with (
            self._database.locked(purpose, name) as connection,
            faults_named(self._database.shown),
        ):
            yield connection

    def _maintain(
        self,
        connection: Connection,
        work: Sequence[str],
        number: int,
        dimensions: int,
        watch: Watch,
    ) -> None:
        """Run statements that build an index, outside of transactions, with memory enough."""
        n_rows = self._database.value(of_space(statements.N_ALL, number))
        memory = f"{index_memory(n_rows, dimensions) >> 10}kB"
        connection.execute(statements.FOR_MAINTENANCE.replace("{memory}", memory))
        steps = [of_space(statement, number) for statement in work]
        try:
            try:
                self._run(connection, steps, watch)
            except StoreFullError:  # in a container, of the memory that parallel workers share
                self._run(connection, [statements.SERIAL, *steps], watch)
            connection.execute(of_space(statements.ANALYZE_VECTORS, number))
        finally:
            if not connection.broken:
                connection.execute(statements.AFTER_MAINTENANCE)

    def _run(self, connection: Connection, steps: Sequence[str], watch: Watch) -> None:
        """Run statements in another thread, and tell meanwhile how far they are."""

        def run() -> None:
            with faults_named(self._database.shown):
                for step in steps:
                    connection.execute(step)

        with ThreadPoolExecutor(1, "build") as pool:
            building = pool.submit(run)
            try:
                while not wait([building], POLL_S).done:
                    self._tell(connection.info.backend_pid, watch)
            except BaseException:
                with suppress(StoreError), faults_named(self._database.shown):
                    connection.cancel_safe()
                raise
            building.result()

    def _tell(self, pid: int, watch: Watch) -> None:
        watch.check("build the index")
        for phase, blocks, all_blocks, tuples in self._database.rows(statements.BUILDING, (pid,)):
            stage = f"index: {phase.removeprefix('building index: ')}"
            if all_blocks:
                watch.progress(stage, blocks, all_blocks, "blocks")
            else:
                watch.progress(stage, tuples, None, "vectors")
