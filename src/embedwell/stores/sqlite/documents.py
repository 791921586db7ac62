"""Documents with all that hangs on them, written many at a time; inside a write transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from embedwell.stores.filters import metadata_rows
from embedwell.stores.pairs import Given
from embedwell.stores.protocol import DocumentChunks
from embedwell.stores.sqlite import statements
from embedwell.stores.sqlite.database import Database
from embedwell.stores.sqlite.rows import chunk_row, document_row
from embedwell.stores.sqlite.statements import of_space


def replace_all(
    database: Database,
    collection: int,
    documents: Sequence[DocumentChunks],
    given: Sequence[Given],
) -> None:
    """Insert documents of different keys, each instead of the one that has its key."""
    metadata = [metadata_rows(item.document.metadata) for item in documents]
    remove_all(database, collection, [item.document.key for item in documents])
    first_document = (database.value(statements.LAST_DOCUMENT) or 0) + 1
    first_chunk = (database.value(statements.LAST_CHUNK) or 0) + 1
    numbered = list(enumerate(documents, first_document))
    database.change(
        statements.ADD_DOCUMENT,
        [(number, collection, *document_row(item.document)) for number, item in numbered],
    )
    database.change(
        statements.ADD_METADATA,
        [(number, *row) for number, rows in enumerate(metadata, first_document) for row in rows],
    )
    rows = [
        (number, *chunk_row(chunk, item.document.key))
        for number, item in numbered
        for chunk in item.chunks
    ]
    chunks = range(first_chunk, first_chunk + len(rows))
    database.change(
        statements.ADD_CHUNK, ((at, *row) for at, row in zip(chunks, rows, strict=True))
    )
    for one in given:
        blobs = (row.tobytes() for row in one.halves.astype("<f2", copy=False))
        statement = of_space(statements.ADD_VECTOR, one.space.number)
        database.change(statement, zip(one.among(documents, chunks), blobs, strict=True))
    database.rows(statements.INDEX_CHUNKS, (first_chunk, first_chunk + len(rows)))


def remove_all(database: Database, collection: int, keys: Iterable[str]) -> int:
    """Remove documents; returns how many there were."""
    found = {database.value(statements.DOCUMENT_ID, (collection, key)) for key in keys} - {None}
    if not found:
        return 0
    numbers = json.dumps(sorted(found))
    # First what the lexical index must be told, while the rows that it covers exist.
    database.rows(statements.UNINDEX_CHUNKS, (numbers,))
    database.rows(statements.DELETE_DOCUMENTS, (numbers,))
    return len(found)
