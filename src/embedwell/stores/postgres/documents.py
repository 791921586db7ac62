"""Writing documents with their chunks, words and vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embedwell.stores.filters import metadata_rows
from embedwell.stores.pairs import Given
from embedwell.stores.postgres import statements
from embedwell.stores.postgres.database import Database
from embedwell.stores.postgres.lexical import Lexical, chunk_words, found_by
from embedwell.stores.postgres.rows import chunk_row, document_row
from embedwell.stores.postgres.texts import to_stored
from embedwell.stores.postgres.vectors import Vectors
from embedwell.stores.scan.bits import HalfArray
from embedwell.stores.values import DocumentChunks
from embedwell.stores.words import name_pieces


class Documents:
    """The documents of one collection; everything here is inside a transaction of the store."""

    def __init__(
        self, database: Database, collection: int, vectors: Vectors, lexical: Lexical
    ) -> None:
        self._database = database
        self._collection = collection
        self._vectors = vectors
        self._lexical = lexical

    def put(self, documents: Sequence[DocumentChunks], given: Sequence[Given]) -> None:
        """Replace documents; the last one of a key stays. Keys in order, against deadlocks.

        Args:
            documents: What is stored.
            given: Their vectors, those of the code space last.
        """
        halves = _searched_by(documents, given)
        names = [metadata_rows(item.document.metadata) for item in documents]
        chunk_ids = self._new_chunk_ids(documents)
        last = {item.document.key: at for at, item in enumerate(documents)}
        order = [last[key] for key in sorted(last)]
        numbers = self._database.values_of_each(
            statements.PUT_DOCUMENT,
            [
                (self._collection, *document_row(documents[at].document, halves.get(at)))
                for at in order
            ],
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
        kept = np.array([chunk for at in order for chunk in chunk_ids[at]], np.int64)
        each = [chunk for ids in chunk_ids for chunk in ids]
        for one in given:
            ids = np.fromiter(one.among(documents, each), np.int64, len(one.halves))
            stays = np.isin(ids, kept)
            if stays.any():
                self._vectors.add(one.space.number, ids[stays], one.halves[stays])

    def delete(self, keys: Sequence[str]) -> int:
        """Remove documents with all that hangs on them; gives how many there were."""
        row = (self._collection, [to_stored(key) for key in keys])
        self._database.rows(statements.LOCK_DOCUMENTS, row)
        return self._database.change(statements.DELETE_DOCUMENTS, row)

    def _new_chunk_ids(self, documents: Sequence[DocumentChunks]) -> list[list[int]]:
        """Ids for the chunks of each document, growing as they were given."""
        n_chunks = sum(len(item.chunks) for item in documents)
        ids = iter([row[0] for row in self._database.rows(statements.NEW_CHUNK_IDS, (n_chunks,))])
        return [[next(ids) for _ in item.chunks] for item in documents]

    def _add_chunks(self, items: Sequence[tuple[int, DocumentChunks, list[int]]]) -> None:
        rows: list[tuple[object, ...]] = []
        words: dict[int, list[str]] = {}
        for number, item, chunk_ids in items:
            key = item.document.key
            for chunk, chunk_id in zip(item.chunks, chunk_ids, strict=True):
                text = found_by(chunk, key)
                pieces = name_pieces(text)
                rows.append((chunk_id, number, *chunk_row(chunk, pieces)))
                words[chunk_id] = chunk_words(text, pieces)
        if rows:
            self._database.copy_rows(statements.COPY_CHUNKS, statements.CHUNK_TYPES, rows)
            self._lexical.add(words)


def _searched_by(
    documents: Sequence[DocumentChunks], given: Sequence[Given]
) -> dict[int, HalfArray]:
    """The vectors that each document is searched by: those of the code space where it has some."""
    found: dict[int, HalfArray] = {}
    for one in given:
        ends = np.cumsum([len(documents[at].chunks) for at in one.documents])
        found |= zip(one.documents, np.split(one.halves, ends[:-1]), strict=False)
    return found
