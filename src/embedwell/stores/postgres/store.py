"""A collection in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from embedwell.core.errors import StoreBusyError, StoreError, StoreFullError, StoreReadOnlyError
from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.filters import metadata_rows
from embedwell.stores.index import IndexName
from embedwell.stores.postgres import statements
from embedwell.stores.postgres.address import Address
from embedwell.stores.postgres.checks import faults_of
from embedwell.stores.postgres.database import Database
from embedwell.stores.postgres.embedded import address_of
from embedwell.stores.postgres.filters import conditions
from embedwell.stores.postgres.lexical import Lexical, chunk_words
from embedwell.stores.postgres.rows import chunk_row, document_row, found_chunk
from embedwell.stores.postgres.setup import make_database, not_found, open_database
from embedwell.stores.postgres.spaces import PostgresSpaces, add_space, moved, show_main
from embedwell.stores.postgres.statements import of_space
from embedwell.stores.postgres.texts import from_stored, to_stored
from embedwell.stores.postgres.vectors import Vectors, decoded
from embedwell.stores.protocol import (
    CollectionSettings,
    Compacted,
    Counts,
    DocumentChunks,
    Filter,
    FoundChunk,
    Scored,
    Stat,
)
from embedwell.stores.spaces import StoredSpace
from embedwell.stores.vectors import cosines, halves_of, unit_of

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
        address = address_of(str(target))
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
        main = self._spaces.main()
        return CollectionSettings(main.space, self._chunk_tokens, main.made_by)

    @property
    def spaces(self) -> PostgresSpaces:
        """The spaces that it holds vectors of."""
        return self._spaces

    @property
    def index_kind(self) -> str:
        """How vectors are searched, for people."""
        return "hnsw" if self._vectors.has_index(self._spaces.main().number) else "exact"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only long writer; see `Store`. At its end an index that is due is built."""
        if self._database.read_only:
            raise _read_only(self._database)
        with self._database.locked(f"writing to {self._database.shown}"):
            self._is_writing = True
            try:
                yield
                self._ensure_index()
            finally:
                self._is_writing = False

    @contextmanager
    def bulk_load(self) -> Iterator[None]:
        """Be the only long writer, without the index over the vectors until the end.

        Rows come in several times faster, and an index over all of them at once is better. Until
        then searches compare every vector.
        """
        with self.writing():
            self._vectors.drop_index(self._spaces.main().number)
            yield

    def snapshot(self) -> AbstractContextManager[None]:
        """All reads inside see one state; see `Store`."""
        return self._database.snapshot()

    def stats(self) -> Mapping[str, Stat]:
        """Size and time of each file by key."""
        rows = self._database.rows(statements.STATS, (self._collection,))
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

    def put(self, documents: Sequence[DocumentChunks], *, space: int | None = None) -> None:
        """Insert or replace whole documents with vectors of the main space."""
        with self._database.transaction():
            main = self._spaces.kept_main()
            if space is not None and space != main.number:
                raise moved(self._database.shown, space, main)
            halves = [halves_of(item, main.space.dimensions) for item in documents]
            names = [metadata_rows(item.document.metadata) for item in documents]
            self._add(documents, halves, names, main.number)
        if not self._is_writing:
            # The documents are stored: an index that cannot be built now is built later.
            with (
                suppress(StoreBusyError, StoreFullError),
                self._database.locked("building an index"),
            ):
                self._ensure_index()

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
        """Remove documents with all that hangs on them; returns how many there were."""
        with self._database.transaction():
            stored = [to_stored(key) for key in keys]
            return self._database.change(statements.DELETE_DOCUMENTS, (self._collection, stored))

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
            self._vectors.rebuild_index(stored.number, stored.space.dimensions)
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

    def _add(
        self,
        documents: Sequence[DocumentChunks],
        halves: Sequence[npt.NDArray[np.float16]],
        names: Sequence[list[tuple[str, str]]],
        space: int,
    ) -> None:
        """Replace documents; the last one of a key stays. Keys in order, against deadlocks."""
        n_chunks = sum(len(item.chunks) for item in documents)
        ids = iter([row[0] for row in self._database.rows(statements.NEW_CHUNK_IDS, (n_chunks,))])
        chunk_ids = [[next(ids) for _ in item.chunks] for item in documents]
        last = {item.document.key: at for at, item in enumerate(documents)}
        order = [last[key] for key in sorted(last)]
        numbers = self._database.values_of_each(
            statements.PUT_DOCUMENT,
            [(self._collection, *document_row(documents[at].document, halves[at])) for at in order],
        )
        for statement in (statements.CLEAR_CHUNKS, statements.CLEAR_METADATA):
            self._database.change(statement, (numbers,))
        self._database.change_each(
            statements.ADD_METADATA,
            [
                (number, to_stored(name), value)
                for number, at in zip(numbers, order, strict=True)
                for name, value in names[at]
            ],
        )
        self._add_chunks(
            [
                (number, documents[at], chunk_ids[at])
                for number, at in zip(numbers, order, strict=True)
            ]
        )
        if n_chunks:
            kept = np.concatenate([np.array(chunk_ids[at], np.int64) for at in order])
            self._vectors.add(space, kept, np.concatenate([halves[at] for at in order]))

    def _add_chunks(self, items: Sequence[tuple[int, DocumentChunks, list[int]]]) -> None:
        rows: list[tuple[object, ...]] = []
        words: dict[int, list[str]] = {}
        for number, item, chunk_ids in items:
            key = item.document.key
            for chunk, chunk_id in zip(item.chunks, chunk_ids, strict=True):
                rows.append((chunk_id, number, *chunk_row(chunk, key)))
                words[chunk_id] = chunk_words(chunk, key)
        if rows:
            self._database.copy_rows(statements.COPY_CHUNKS, statements.CHUNK_TYPES, rows)
            self._lexical.add(words)

    def _space(self, number: int | None) -> StoredSpace:
        return self._spaces.main() if number is None else self._spaces.get(number)

    def _ensure_index(self) -> None:
        main = self._spaces.main()
        self._vectors.ensure_index(main.number, main.space.dimensions)


def _add_collection(database: Database, address: Address, settings: CollectionSettings) -> None:
    with database.transaction():
        database.rows(statements.LOCK_COLLECTIONS)
        if database.rows(statements.COLLECTION, (COLLECTION,)):
            raise StoreError(
                f"There is an index in schema '{address.names.schema}' of {address.shown} already.",
                "Open it, or name another schema: `embedwell_schema=NAME` in the address.",
            )
        collection = database.value(statements.ADD_COLLECTION, (COLLECTION, settings.chunk_tokens))
        add_space(database, collection, settings.space, "main", settings.made_by)
        show_main(database)


def _read_only(database: Database) -> StoreReadOnlyError:
    return StoreReadOnlyError(f"{database.shown} was opened for reading.", "Open it for writing.")
