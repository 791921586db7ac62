"""A collection in one SQLite file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Self

import numpy as np

from embedwell.core.errors import StoreError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.index import Index, IndexName
from embedwell.stores.leases import still_held
from embedwell.stores.lock import locked
from embedwell.stores.pairs import Searched, check_known, given_vectors, settings_spaces
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
from embedwell.stores.sqlite import faults, lexical, statements
from embedwell.stores.sqlite.allowed import Allowed
from embedwell.stores.sqlite.check import faults_in
from embedwell.stores.sqlite.database import Database
from embedwell.stores.sqlite.documents import remove_all, replace_all
from embedwell.stores.sqlite.files import create_database, draft_of, open_database
from embedwell.stores.sqlite.queue import SqliteQueue
from embedwell.stores.sqlite.rows import found_chunk
from embedwell.stores.sqlite.spaces import SqliteSpaces, add_space
from embedwell.stores.sqlite.statements import of_space
from embedwell.stores.sqlite.upkeep import backup, compact, size_bytes
from embedwell.stores.sqlite.vectors import Indexes
from embedwell.stores.vectors import cosines, unit_of

COLLECTION = "default"
COLLECTION_ID = 1


class SqliteStore:
    """`Store` over one file: see docs/store.md for its tables and guarantees."""

    def __init__(self, database: Database, index: IndexName = "auto") -> None:
        row = database.rows(statements.COLLECTION, (COLLECTION,))
        if not row:
            raise faults.damaged(database.path, f"without its collection '{COLLECTION}'")
        self._collection, _ = row[0]
        self._database = database
        self._spaces = SqliteSpaces(database, self._collection)
        self._queue = SqliteQueue(database, self._collection)
        self._indexes = Indexes(database, index)
        self._matches: tuple[object, Scored] | None = None
        self._is_writer = False
        self._allowed = Allowed(database, self._collection)

    @classmethod
    def create(
        cls, target: str | Path, settings: CollectionSettings, *, index: IndexName = "auto"
    ) -> Self:
        """Make a new file, whole or not at all; folders above it are made too.

        Raises:
            StoreError: There is a file already.
            StoreReadOnlyError: The folder cannot be written.
            StoreFullError: There is no room.
        """
        path = Path(target)
        with faults.faults_named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _writing(path), draft_of(path) as draft:
                _fill(draft, settings)
        return cls.open(path, index=index)

    @classmethod
    def open(
        cls, target: str | Path, *, read_only: bool = False, index: IndexName = "auto"
    ) -> Self:
        """Open a file; one that cannot be written opens for reading.

        Raises:
            StoreNotFoundError: There is none.
            ForeignStoreError: It belongs to another program.
            NewerStoreError: A newer embedwell wrote it.
        """
        database = open_database(Path(target), read_only=read_only)
        try:
            return cls(database, index)
        except BaseException:
            database.close()
            raise

    @property
    def settings(self) -> CollectionSettings:
        """What the collection is made for, with the space that is the main one now."""
        with self.snapshot():
            _, chunk_tokens = self._database.rows(statements.COLLECTION, (COLLECTION,))[0]
            return self._spaces.searched().settings(chunk_tokens)

    @property
    def spaces(self) -> SqliteSpaces:
        """The spaces that it holds vectors of."""
        return self._spaces

    @property
    def queue(self) -> SqliteQueue:
        """What is to be read into it, and what became of it."""
        return self._queue

    @property
    def index_kind(self) -> str:
        """How vectors are searched, for people."""
        return self._index(self._spaces.main()).kind

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only long writer; see `Store`."""
        if self._database.read_only:
            raise faults.read_only(self.path)
        with _writing(self.path):
            self._is_writer = True
            try:
                yield
            finally:
                self._is_writer = False

    def snapshot(self) -> AbstractContextManager[None]:
        """All reads inside see one state; see `Store`."""
        return self._database.snapshot()

    def stats(self, source: int | None = None) -> Mapping[str, Stat]:
        """Size and time by key; see `Store`."""
        if source is None:
            rows = self._database.each(statements.STATS, (self._collection,))
        else:
            rows = self._database.each(statements.STATS_OF_SOURCE, (source,))
        return {key: Stat(size, mtime) for key, size, mtime in rows}

    def records(self) -> list[str]:
        """Keys of the documents that programs added, in order."""
        return [key for (key,) in self._database.rows(statements.RECORDS, (self._collection,))]

    def set_chunk_tokens(self, chunk_tokens: int) -> None:
        """Change how long chunks may be that are cut from now on."""
        with self._database.transaction():
            row = (chunk_tokens, self._collection)
            self._database.rows(statements.SET_CHUNK_TOKENS, row)

    def known_vectors(
        self, hashes: Sequence[str], *, space: int | None = None
    ) -> Mapping[str, FloatArray]:
        """Vectors already stored, by `embedded_sha256`."""
        with self.snapshot():
            statement = of_space(statements.KNOWN_VECTORS, self._space(space).number)
            rows = self._database.rows(statement, (json.dumps(list(hashes)),))
        return {sha256: np.frombuffer(blob, "<f2").astype(np.float32) for sha256, blob in rows}

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
            lost = self._queue.finish(outcomes)
            documents = still_held(documents, outcomes, lost)
            there = self._spaces.searched()
            is_told = check_known(there, space, code, str(self.path))
            given = given_vectors(documents, there, is_told=is_told)
            replace_all(self._database, self._collection, documents, given)
            self._keep_up(there)
        return lost

    def touch(self, stats: Mapping[str, Stat]) -> None:
        """Renew size and time of files whose content did not change."""
        with self._database.transaction():
            self._database.change(
                statements.TOUCH,
                [
                    (stat.size_bytes, stat.mtime_ns, self._collection, key)
                    for key, stat in stats.items()
                ],
            )

    def delete(self, keys: Iterable[str]) -> int:
        """Remove documents with all that hangs on them, and their rows of the queue."""
        gone = list(keys)
        with self._database.transaction():
            n = remove_all(self._database, self._collection, gone)
            self._queue.forget(gone)
            self._keep_up(self._spaces.searched())
            return n

    def tend_index(self, n_waiting: int, watch: Watch) -> None:
        """Nothing to do: the codes follow by segments."""

    def warm(self, *, space: int | None = None) -> None:
        """Load the vectors, or what changed of them."""
        stored = self._space(space)
        self._indexes.catch_up(stored.number, stored.space.dimensions)
        with self.snapshot():
            self._index(self._space(space)).follow()

    def nearest(
        self, vector: FloatArray, k: int, where: Filter, *, space: int | None = None
    ) -> Scored:
        """The k chunks with the highest cosine; see `Store`."""
        with self.snapshot():
            stored = self._space(space)
            unit = unit_of(vector, stored.space.dimensions)
            index = self._index(stored)
            index.follow()
            return index.nearest(unit, k, self._allowed.ids(where))

    def similarities(
        self, vector: FloatArray, ids: IntArray, *, space: int | None = None
    ) -> FloatArray:
        """Cosine to given chunks; see `Store`."""
        wanted = np.asarray(ids)
        with self.snapshot():
            stored = self._space(space)
            unit = unit_of(vector, stored.space.dimensions)
            as_json = json.dumps(wanted.tolist())
            held = self._database.rows(statements.CHUNK_IDS_HELD, (as_json,))
            if not set(wanted.tolist()) <= {number for (number,) in held}:
                raise StoreError("Some chunk ids are not in the index.", "Search again.")
            return cosines(unit, self._spaces.vectors(stored.number, wanted))

    def matching(self, query: str, k: int, where: Filter) -> Scored:
        """The k chunks with the highest BM25; see `Store`."""
        with self.snapshot():
            return lexical.best_matches(self._all_matches(query), k, self._allowed.ids(where))

    def match_scores(self, query: str, ids: IntArray) -> FloatArray:
        """BM25 of a query for given chunks, 0 where no word occurs."""
        return lexical.scores_of(self._all_matches(query), ids)

    def chunks(self, ids: Sequence[int]) -> list[FoundChunk]:
        """Chunks by id, in the order asked for; ids not in the store are left out."""
        wanted = [int(number) for number in ids]
        rows = self._database.rows(statements.CHUNKS, (json.dumps(wanted),))
        found = {row[0]: found_chunk(row) for row in rows}
        return [found[number] for number in wanted if number in found]

    def passages(self, key: str) -> list[FoundChunk]:
        """All chunks of a document as they follow one another."""
        return [
            found_chunk(row)
            for row in self._database.rows(statements.PASSAGES, (self._collection, key))
        ]

    def counts(self) -> Counts:
        """Documents, chunks and bytes (the log included)."""
        documents, chunks = self._database.rows(
            statements.COUNTS, {"collection": self._collection}
        )[0]
        return Counts(documents, chunks, size_bytes(self.path))

    def n_chunks(self, kind: ChunkKind) -> int:
        """How many chunks of documents of a kind there are."""
        row = (self._collection, kind)
        n: int = self._database.value(statements.N_CHUNKS_OF_KIND, row)
        return n

    def check(self) -> list[str]:
        """What is broken in the database, a sentence each."""
        return faults_in(self._database, self._spaces)

    def free_bytes(self) -> int | None:
        """Free bytes on the file's disk."""
        with faults.faults_named(self.path):
            return shutil.disk_usage(self.path.parent).free

    def compact(self) -> Compacted:
        """Give the space of what was deleted back to the system; see `Store`."""
        with nullcontext() if self._is_writer else self.writing():
            return compact(self._database)

    def backup(self, target: Path) -> None:
        """Copy the store as of now into a new file."""
        backup(self._database, target)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _space(self, number: int | None) -> StoredSpace:
        return self._spaces.main() if number is None else self._spaces.get(number)

    def _keep_up(self, there: Searched) -> None:
        for stored in there.both:
            self._indexes.keep_up(stored.number, stored.space.dimensions)

    def _index(self, stored: StoredSpace) -> Index:
        there = [other.number for other in self._spaces.all()]
        return self._indexes.of(stored.number, stored.space.dimensions, there)

    def _all_matches(self, query: str) -> Scored:
        """All matches of a query; the last query's are kept, since both halves ask for them."""
        asked = query, self._database.version
        if self._matches is None or self._matches[0] != asked:
            n_chunks = self._database.value(statements.N_CHUNKS)
            self._matches = asked, lexical.all_matches(self._database, query, n_chunks)
        return self._matches[1]


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    with ExitStack() as held:
        with faults.faults_named(path):  # not around what the job does while it holds the lock
            lock = path.with_name(f"{path.name}.lock")
            held.enter_context(locked(lock, f"writing to {path}"))
        yield


def _fill(draft: Path, settings: CollectionSettings) -> None:
    database = create_database(draft)
    try:
        with database.transaction():
            row = (COLLECTION_ID, COLLECTION, settings.chunk_tokens)
            database.insert(statements.ADD_COLLECTION, row)
            for stored in settings_spaces(settings):
                add_space(database, COLLECTION_ID, stored)
        database.rows(statements.WAL)
    finally:
        database.close()
