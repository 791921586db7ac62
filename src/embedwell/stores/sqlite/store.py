"""A collection in one SQLite file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from embedwell.core.errors import StoreError
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray, IntArray, check_vectors, normalized
from embedwell.stores.filters import check_filter, metadata_rows, path_pattern
from embedwell.stores.lock import locked
from embedwell.stores.protocol import (
    CollectionSettings,
    Counts,
    Document,
    DocumentChunks,
    Filter,
    FoundChunk,
    Scored,
    Stat,
    StoredChunk,
)
from embedwell.stores.sqlite import faults, lexical, statements
from embedwell.stores.sqlite.database import Database, Row, create_database, open_database
from embedwell.stores.sqlite.vectors import LoadedVectors
from embedwell.stores.vectors import to_half
from embedwell.stores.words import name_pieces

COLLECTION = "default"


class SqliteStore:
    """`Store` over one file: see docs/store.md for its tables and guarantees."""

    def __init__(self, database: Database) -> None:
        row = database.rows(statements.COLLECTION, (COLLECTION,))
        if not row:
            raise faults.damaged(database.path, f"without its collection '{COLLECTION}'")
        self._collection, self._space, declaration, chunk_tokens, made_by = row[0]
        self._settings = CollectionSettings(Space.from_json(declaration), chunk_tokens, made_by)
        self._database = database
        self._vectors = LoadedVectors(database, self._space, self._settings.space.dimensions)
        self._matches: tuple[str, int, Scored] | None = None
        database.add_function("path_matches", _path_matches)

    @classmethod
    def create(cls, target: str | Path, settings: CollectionSettings) -> Self:
        """Make a new file, whole or not at all; folders above it are made too.

        Raises:
            StoreError: There is a file already.
            StoreReadOnlyError: The folder cannot be written.
            StoreFullError: There is no room.
        """
        path = Path(target)
        with faults.faults_named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _writing(path):
                if path.exists():
                    raise StoreError(
                        f"There is a file at {path} already.", "Open it, or name another file."
                    )
                draft = path.with_name(f"{path.name}.new")
                try:
                    _remove_draft(draft)  # a killed process may have left one
                    _fill(draft, settings)
                    draft.rename(path)
                finally:
                    _remove_draft(draft)
        return cls.open(path)

    @classmethod
    def open(cls, target: str | Path, *, read_only: bool = False) -> Self:
        """Open a file; one that cannot be written opens for reading.

        Raises:
            StoreNotFoundError: There is none.
            ForeignStoreError: It belongs to another program.
            NewerStoreError: A newer embedwell wrote it.
        """
        database = open_database(Path(target), read_only=read_only)
        try:
            return cls(database)
        except BaseException:
            database.close()
            raise

    @property
    def settings(self) -> CollectionSettings:
        """What was fixed when the collection was created."""
        return self._settings

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def writing(self) -> AbstractContextManager[None]:
        """Be the only long writer; see `Store`."""
        if self._database.read_only:
            raise faults.read_only(self.path)
        return _writing(self.path)

    def snapshot(self) -> AbstractContextManager[None]:
        """All reads inside see one state; see `Store`."""
        return self._database.snapshot()

    def stats(self) -> Mapping[str, Stat]:
        """Size, time and hash of each file by key."""
        rows = self._database.rows(statements.STATS, (self._collection,))
        return {key: Stat(size, mtime, sha256) for key, size, mtime, sha256 in rows}

    def known_vectors(self, hashes: Sequence[str]) -> Mapping[str, FloatArray]:
        """Vectors already stored, by `embedded_sha256`."""
        rows = self._database.rows(
            statements.KNOWN_VECTORS, (self._space, json.dumps(list(hashes)))
        )
        return {sha256: np.frombuffer(blob, "<f2").astype(np.float32) for sha256, blob in rows}

    def put(self, documents: Sequence[DocumentChunks]) -> None:
        """Insert or replace whole documents."""
        halves = [to_half(item, self._settings.space.dimensions) for item in documents]
        with self._database.transaction():
            next_chunk = (self._database.value(statements.LAST_CHUNK) or 0) + 1
            for item, vectors in zip(documents, halves, strict=True):
                self._remove(item.document.key)
                self._add(item, vectors, next_chunk)
                next_chunk += len(item.chunks)

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
        """Remove documents with all that hangs on them; returns how many there were."""
        with self._database.transaction():
            return sum(self._remove(key) for key in keys)

    def warm(self) -> None:
        """Load the vectors, or what changed of them."""
        with self.snapshot():
            self._vectors.index()

    def nearest(self, vector: FloatArray, k: int, where: Filter) -> Scored:
        """The k chunks with the highest cosine; see `Store`."""
        unit = self._unit(vector)
        with self.snapshot():
            return self._vectors.index().nearest(unit, k, self._allowed(where))

    def similarities(self, vector: FloatArray, ids: IntArray) -> FloatArray:
        """Cosine to given chunks; see `Store`."""
        unit = self._unit(vector)
        index = self._vectors.index()
        if not np.isin(ids, index.ids).all():
            raise StoreError("Some chunk ids are not in the index.", "Search again.")
        return index.similarities(unit, ids)

    def matching(self, query: str, k: int, where: Filter) -> Scored:
        """The k chunks with the highest BM25; see `Store`."""
        with self.snapshot():
            return lexical.best_matches(self._all_matches(query), k, self._allowed(where))

    def match_scores(self, query: str, ids: IntArray) -> FloatArray:
        """BM25 of a query for given chunks, 0 where no word occurs."""
        return lexical.scores_of(self._all_matches(query), ids)

    def chunks(self, ids: Sequence[int]) -> list[FoundChunk]:
        """Chunks by id, in the order asked for; ids not in the store are left out."""
        wanted = [int(number) for number in ids]
        rows = self._database.rows(statements.CHUNKS, (json.dumps(wanted),))
        found = {row[0]: _found(row) for row in rows}
        return [found[number] for number in wanted if number in found]

    def passages(self, key: str) -> list[FoundChunk]:
        """All chunks of a document as they follow one another."""
        return [
            _found(row) for row in self._database.rows(statements.PASSAGES, (self._collection, key))
        ]

    def counts(self) -> Counts:
        """Documents, chunks and bytes (the log included)."""
        documents, chunks = self._database.rows(
            statements.COUNTS, {"collection": self._collection}
        )[0]
        files = [self.path, self.path.with_name(f"{self.path.name}-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
        return Counts(documents, chunks, size)

    def check(self) -> list[str]:
        """What is broken in the database, a sentence each."""
        faults_found = [
            f"SQLite: {text}."
            for (text,) in self._database.rows(statements.QUICK_CHECK)
            if text != "ok"
        ]
        orphans = len(self._database.rows(statements.FOREIGN_KEY_CHECK))
        if orphans:
            faults_found.append(f"{orphans} rows belong to documents or chunks that are gone.")
        return faults_found

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _add(self, item: DocumentChunks, vectors: npt.NDArray[np.float16], first: int) -> None:
        document = item.document
        names = metadata_rows(document.metadata)
        number = self._database.insert(
            statements.ADD_DOCUMENT, (self._collection, *_document_row(document))
        )
        self._database.change(statements.ADD_METADATA, [(number, *row) for row in names])
        rows = [
            (first + at, number, *_chunk_row(chunk, document.key))
            for at, chunk in enumerate(item.chunks)
        ]
        self._database.change(statements.ADD_CHUNK, rows)
        self._database.change(
            statements.ADD_VECTOR,
            [
                (self._space, first + at, row.astype("<f2").tobytes())
                for at, row in enumerate(vectors)
            ],
        )
        self._database.rows(statements.INDEX_CHUNKS, (number,))
        self._forget()

    def _remove(self, key: str) -> bool:
        number = self._database.value(statements.DOCUMENT_ID, (self._collection, key))
        if number is None:
            return False
        # First what the lexical index must be told, while the rows that it covers exist.
        self._database.rows(statements.UNINDEX_CHUNKS, (number,))
        self._database.rows(statements.DELETE_DOCUMENT, (number,))
        self._forget()
        return True

    def _forget(self) -> None:
        self._vectors.outdated()
        self._matches = None

    def _unit(self, vector: FloatArray) -> FloatArray:
        rows = np.asarray(vector, np.float32)[None]
        check_vectors(rows, self._settings.space.dimensions)
        unit: FloatArray = normalized(rows)[0]
        return unit

    def _all_matches(self, query: str) -> Scored:
        """All matches of a query; the last query's are kept, since both halves ask for them."""
        version = self._database.value(statements.DATA_VERSION)
        if self._matches is None or self._matches[:2] != (query, version):
            n_chunks = self._database.value(statements.N_CHUNKS)
            self._matches = (query, version, lexical.all_matches(self._database, query, n_chunks))
        return self._matches[2]

    def _allowed(self, where: Filter) -> IntArray | None:
        """Ids of the chunks that a filter lets through, ascending; None for all."""
        if where == Filter():
            return None
        check_filter(where)
        conditions: list[tuple[str, tuple[str, ...]]] = []
        if where.path:
            conditions.append((statements.IF_PATH, (where.path,)))
        if where.language:
            conditions.append((statements.IF_LANGUAGE, (where.language,)))
        if where.kind is not None:
            conditions.append((statements.IF_KIND, (where.kind,)))
        conditions += [(statements.IF_METADATA, row) for row in metadata_rows(where.metadata)]
        statement = statements.ALLOWED_CHUNKS.format(
            conditions=" ".join(text for text, _ in conditions)
        )
        parameters = [self._collection, *(value for _, row in conditions for value in row)]
        rows = self._database.rows(statement, parameters)
        return np.fromiter((number for (number,) in rows), np.int64, len(rows))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    with ExitStack() as held:
        with faults.faults_named(path):  # not around what the job does while it holds the lock
            lock = path.with_name(f"{path.name}.lock")
            held.enter_context(locked(lock, f"writing to {path}"))
        yield


def _fill(draft: Path, settings: CollectionSettings) -> None:
    """Write a new database beside its place, so that no half-made one is ever found there."""
    database = create_database(draft)
    try:
        space = settings.space
        with database.transaction():
            database.insert(statements.ADD_SPACE, (1, space.id, space.to_json(), space.dimensions))
            row = (1, COLLECTION, 1, settings.chunk_tokens, settings.made_by)
            database.insert(statements.ADD_COLLECTION, row)
    finally:
        database.close()


def _remove_draft(draft: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{draft}{suffix}").unlink()


def _path_matches(key: str, glob: str) -> bool:
    return path_pattern(glob).fullmatch(key) is not None


def _found(row: Row) -> FoundChunk:
    return FoundChunk(row[0], row[1], row[2], row[3], json.loads(row[4]), StoredChunk(*row[5:]))


def _document_row(document: Document) -> tuple[object, ...]:
    return (
        document.key,
        document.size_bytes,
        document.mtime_ns,
        document.sha256,
        document.kind,
        document.language,
        document.is_record,
        json.dumps(dict(document.metadata)),
    )


def _chunk_row(chunk: StoredChunk, key: str) -> tuple[object, ...]:
    pieces = name_pieces(f"{chunk.title}\n{key}\n{chunk.text}")
    return (
        chunk.start,
        chunk.end,
        chunk.start_line,
        chunk.end_line,
        chunk.title,
        chunk.text,
        " ".join(pieces),
        chunk.embedded_sha256,
    )
