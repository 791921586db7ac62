"""A collection in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Self

import numpy as np

from embedwell.core.errors import StoreBusyError, StoreError, StoreFullError, StoreReadOnlyError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.index import IndexName
from embedwell.stores.leases import still_held
from embedwell.stores.pairs import Searched, check_known, given_vectors, settings_spaces
from embedwell.stores.postgres import statements
from embedwell.stores.postgres.address import Address
from embedwell.stores.postgres.checks import faults_of
from embedwell.stores.postgres.database import Database
from embedwell.stores.postgres.documents import Documents
from embedwell.stores.postgres.embedded import address_of
from embedwell.stores.postgres.filters import conditions
from embedwell.stores.postgres.hnsw import Hnsw, Load, is_wanted
from embedwell.stores.postgres.lexical import Lexical
from embedwell.stores.postgres.queue import PostgresQueue
from embedwell.stores.postgres.rows import found_chunk
from embedwell.stores.postgres.setup import make_database, not_found, open_database
from embedwell.stores.postgres.spaces import PostgresSpaces, add_space, show_searched
from embedwell.stores.postgres.statements import of_space
from embedwell.stores.postgres.texts import from_stored, to_stored
from embedwell.stores.postgres.vectors import Vectors, decoded
from embedwell.stores.protocol import (
    ChunkKind,
    CollectionSettings,
    Compacted,
    Counts,
    DocumentChunks,
    Filter,
    FoundChunk,
    Scored,
    Stat,
)
from embedwell.stores.queue import Outcome
from embedwell.stores.spaces import StoredSpace
from embedwell.stores.vectors import cosines, unit_of

COLLECTION = "default"


class PostgresStore:
    """`Store` over one schema of a database: see docs/postgres.md."""

    def __init__(self, database: Database) -> None:
        row = database.rows(statements.COLLECTION, (COLLECTION,))
        if not row:
            raise not_found(database.address)
        self._collection, self._chunk_tokens = row[0]
        self._database = database
        self._vectors = Vectors(database)
        self._spaces = PostgresSpaces(database, self._collection, self._vectors)
        self._lexical = Lexical(database)
        self._documents = Documents(database, self._collection, self._vectors, self._lexical)
        self._queue = PostgresQueue(database, self._collection)
        self._hnsw = Hnsw(database)
        self._is_writing = False

    @classmethod
    def create(
        cls, target: str | Path, settings: CollectionSettings, *, index: IndexName = "auto"
    ) -> Self:
        """Make the schema where it is not there, and an empty collection in it.

        Args:
            target: An address such as `postgresql://user@host/database`, or
                `postgres-embedded:[folder]`.
            settings: What is fixed from now on.
            index: The server has its own, whatever is asked for.

        Raises:
            StoreError: There is a collection already.
            ForeignStoreError: Under our names is something of another program.
            StoreGoneError: No server answers.
            StoreSetupError: It does not let us in, or lacks an extension, a version or a right.
        """
        del index
        address = address_of(str(target), make=True)
        return cls._over(make_database(address), address, settings)

    @classmethod
    def open(
        cls, target: str | Path, *, read_only: bool = False, index: IndexName = "auto"
    ) -> Self:
        """Open a collection that exists.

        Raises:
            StoreNotFoundError: There is none.
            ForeignStoreError: Under our names is something of another program.
            NewerStoreError: A newer embedwell made it.
            StoreGoneError: No server answers.
            StoreSetupError: It does not let us in, or lacks an extension, a version or a right.
        """
        del index
        address = address_of(str(target))
        return cls._over(open_database(address, read_only=read_only), address, None)

    @classmethod
    def _over(
        cls, database: Database, address: Address, settings: CollectionSettings | None
    ) -> Self:
        try:
            if settings:
                _add_collection(database, address, settings)
            return cls(database)
        except BaseException:
            database.close()
            raise

    @property
    def settings(self) -> CollectionSettings:
        """What the collection is made for, with the space that is the main one now."""
        return self._spaces.searched().settings(self._chunk_tokens)

    @property
    def spaces(self) -> PostgresSpaces:
        """The spaces that it holds vectors of."""
        return self._spaces

    @property
    def queue(self) -> PostgresQueue:
        """What is to be read into it, and what became of it."""
        return self._queue

    @property
    def index_kind(self) -> str:
        """How vectors are searched, for people."""
        return "hnsw" if self._hnsw.is_there(self._spaces.main().number) else "exact"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only long writer; see `Store`."""
        if self._database.read_only:
            raise _read_only(self._database)
        purpose = f"writing to {self._database.shown}"
        with self._database.locked(purpose, self._database.names.schema):
            self._is_writing = True
            try:
                yield
            finally:
                self._is_writing = False

    def snapshot(self) -> AbstractContextManager[None]:
        """All reads inside see one state; see `Store`."""
        return self._database.snapshot()

    def stats(self, source: int | None = None) -> Mapping[str, Stat]:
        """Size and time by key; see `Store`."""
        if source is None:
            rows = self._database.rows(statements.STATS, (self._collection,))
        else:
            rows = self._database.rows(statements.STATS_OF_SOURCE, (source,))
        return {from_stored(key): Stat(size, mtime) for key, size, mtime in rows}

    def records(self) -> list[str]:
        """Keys of the documents that programs added, in order."""
        rows = self._database.rows(statements.RECORDS, (self._collection,))
        return [from_stored(key) for (key,) in rows]

    def set_chunk_tokens(self, chunk_tokens: int) -> None:
        """Change how long chunks may be that are cut from now on."""
        with self._database.transaction():
            row = (chunk_tokens, self._collection)
            self._database.change(statements.SET_CHUNK_TOKENS, row)
        self._chunk_tokens = chunk_tokens

    def known_vectors(
        self, hashes: Sequence[str], *, space: int | None = None
    ) -> Mapping[str, FloatArray]:
        """Vectors already stored, by `embedded_sha256`."""
        with self.snapshot():
            stored = self._space(space)
            statement = of_space(statements.KNOWN_VECTORS, stored.number)
            rows = self._database.rows(statement, (list(hashes),))
        vectors = decoded(rows, stored.space.dimensions)
        return {row[0]: vector for row, vector in zip(rows, vectors, strict=True)}

    def put(
        self,
        documents: Sequence[DocumentChunks],
        *,
        space: int | None = None,
        code: int | None = None,
        outcomes: Sequence[Outcome] = (),
    ) -> frozenset[int]:
        """Insert or replace whole documents with their vectors; see `Store`."""
        with self._database.transaction():
            there = self._spaces.kept()
            is_told = check_known(there, space, code, self._database.shown)
            lost = self._queue.lock(outcomes)
            documents = still_held(documents, outcomes, lost)
            self._documents.put(documents, given_vectors(documents, there, is_told=is_told))
            self._queue.finish(outcomes, lost)
        if not outcomes and not self._is_writing:
            self._index_what_was_added(there)
        return lost

    def touch(self, stats: Mapping[str, Stat]) -> None:
        """Renew size and time of files whose content did not change."""
        with self._database.transaction():
            self._database.change_each(
                statements.TOUCH,
                [
                    (stat.size_bytes, stat.mtime_ns, self._collection, to_stored(key))
                    for key, stat in sorted(stats.items())
                ],
            )

    def delete(self, keys: Iterable[str]) -> int:
        """Remove documents with all that hangs on them, and their rows of the queue."""
        gone = list(keys)
        with self._database.transaction():
            self._spaces.kept()
            self._queue.forget(gone)
            return self._documents.delete(gone)

    def tend_index(self, n_waiting: int, watch: Watch) -> None:
        """Drop the index over the vectors for a large load, or build it; see `Store`."""
        run = self._queue.run()
        n_loaded = run.n_done if run and run.status != "done" else 0
        n_stored = self._database.value(statements.N_DOCUMENTS, (self._collection,))
        load = Load(n_stored, n_loaded, n_waiting)
        there = self._spaces.searched().both
        if not is_wanted(load) and any(self._hnsw.is_there(stored.number) for stored in there):
            # It is not dropped for files that were only touched.
            load = Load(n_stored, n_loaded, self._queue.n_to_store())
        for stored in there:
            self._hnsw.tend(stored.number, stored.space.dimensions, load, watch)
            if not n_waiting:
                self._hnsw.look_at_size(stored.number, stored.space.dimensions)

    def warm(self, *, space: int | None = None) -> None:
        """Nothing is kept in memory here; the server reads what it needs."""
        self._space(space)

    def nearest(
        self, vector: FloatArray, k: int, where: Filter, *, space: int | None = None
    ) -> Scored:
        """The k chunks with the highest cosine; see `Store`."""
        with self.snapshot():
            stored = self._space(space)
            unit = unit_of(vector, stored.space.dimensions)
            return self._vectors.nearest(
                stored.number, unit, k, conditions(where, self._collection)
            )

    def similarities(
        self, vector: FloatArray, ids: IntArray, *, space: int | None = None
    ) -> FloatArray:
        """Cosine to given chunks; see `Store`."""
        wanted = np.asarray(ids, np.int64)
        with self.snapshot():
            stored = self._space(space)
            unit = unit_of(vector, stored.space.dimensions)
            vectors = self._vectors.stored(stored.number, wanted, stored.space.dimensions)
            if np.isnan(vectors[:, 0]).any():
                held = self._database.rows(statements.CHUNK_IDS_HELD, (wanted.tolist(),))
                if not set(wanted.tolist()) <= {number for (number,) in held}:
                    raise StoreError("Some chunk ids are not in the index.", "Search again.")
            return cosines(unit, vectors)

    def matching(self, query: str, k: int, where: Filter) -> Scored:
        """The k chunks with the highest BM25; see `Store`."""
        with self.snapshot():
            return self._lexical.matching(query, k, conditions(where, self._collection))

    def match_scores(self, query: str, ids: IntArray) -> FloatArray:
        """BM25 of a query for given chunks, 0 where no word occurs."""
        with self.snapshot():
            return self._lexical.scores(query, ids)

    def chunks(self, ids: Sequence[int]) -> list[FoundChunk]:
        """Chunks by id, in the order asked for; ids not in the store are left out."""
        wanted = [int(number) for number in ids]
        found = {row[0]: row for row in self._database.rows(statements.CHUNKS, (wanted,))}
        return [found_chunk(found[number]) for number in wanted if number in found]

    def passages(self, key: str) -> list[FoundChunk]:
        """All chunks of a document as they follow one another."""
        parameters = (self._collection, to_stored(key))
        return [found_chunk(row) for row in self._database.rows(statements.PASSAGES, parameters)]

    def counts(self) -> Counts:
        """Documents, chunks and bytes (all tables and indexes of the schema)."""
        with self.snapshot():
            documents, chunks = self._database.rows(
                statements.COUNTS, {"collection": self._collection}
            )[0]
            return Counts(documents, chunks, self._database.value(statements.SIZE))

    def n_chunks(self, kind: ChunkKind) -> int:
        """How many chunks of documents of a kind there are."""
        row = (self._collection, kind)
        n: int = self._database.value(statements.N_CHUNKS_OF_KIND, row)
        return n

    def check(self) -> list[str]:
        """What is broken in the database, a sentence each."""
        with self.snapshot():
            return faults_of(self._database, self._spaces.all())

    def free_bytes(self) -> int | None:
        """None: the server does not tell."""
        return None

    def compact(self) -> Compacted:
        """Make what was deleted free for new rows, and give back what lies at the tables' ends.

        PostgreSQL gives the rest back only under a lock that keeps readers out: `VACUUM FULL`.
        """
        if self._database.read_only:
            raise _read_only(self._database)
        before = self._database.value(statements.SIZE_OF_ROWS)
        for stored in self._spaces.all():
            self._hnsw.rebuild(stored.number, stored.space.dimensions)
        tables = ", ".join(name for (name,) in self._database.rows(statements.TABLES))
        self._database.change(f"{statements.VACUUM} {tables}")
        return Compacted(before, self._database.value(statements.SIZE_OF_ROWS))

    def backup(self, target: Path) -> None:
        """Refuse: PostgreSQL's own tools do that better."""
        names = self._database.names
        raise StoreError(
            f"An index in PostgreSQL is not copied into a file by embedwell ({target}).",
            f"Use PostgreSQL's own: pg_dump --format=custom --schema='\"{names.schema}\"' "
            f"--file={target} {self._database.shown}",
        )

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _space(self, number: int | None) -> StoredSpace:
        return self._spaces.main() if number is None else self._spaces.get(number)

    def _index_what_was_added(self, there: Searched) -> None:
        """Build the indexes that are due, but for a load under way: its workers tend the index."""
        run = self._queue.run()
        if run is None or run.status == "done":
            # The documents are stored: an index that cannot be built now is built later.
            with suppress(StoreBusyError, StoreFullError):
                for stored in there.both:
                    self._hnsw.ensure(stored.number, stored.space.dimensions, Watch())


def _add_collection(database: Database, address: Address, settings: CollectionSettings) -> None:
    with database.transaction():
        database.rows(statements.LOCK_COLLECTIONS)
        if database.rows(statements.COLLECTION, (COLLECTION,)):
            raise StoreError(
                f"There is an index in schema '{address.names.schema}' of {address.shown} already.",
                "Open it, or name another schema: `embedwell_schema=NAME` in the address.",
            )
        collection = database.value(statements.ADD_COLLECTION, (COLLECTION, settings.chunk_tokens))
        for stored in settings_spaces(settings):
            add_space(database, collection, stored)
        show_searched(database)


def _read_only(database: Database) -> StoreReadOnlyError:
    return StoreReadOnlyError(f"{database.shown} was opened for reading.", "Open it for writing.")
