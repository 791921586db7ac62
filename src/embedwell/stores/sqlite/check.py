"""What can be wrong in an index, each looked for and said in a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from embedwell.core.errors import (
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
)
from embedwell.core.vectors import IntArray, unusable
from embedwell.stores import leases
from embedwell.stores.scan.bits import encode, n_words
from embedwell.stores.spaces import EVERYTHING, Spaces, StoredSpace
from embedwell.stores.sqlite import queue_statements, statements
from embedwell.stores.sqlite.database import Database, Row
from embedwell.stores.sqlite.statements import of_space
from embedwell.stores.vectors import spread

BATCH = 4_096
"""Vectors looked at together: 3 MB of 384 dimensions."""
CODES_PER_SEGMENT = 64
"""So many rows of each code segment are computed again."""
DEEP_CHUNKS = 100_000
"""Up to so many chunks, every word of the lexical index is compared: 3 s, in which none writes."""


def faults_in(database: Database, spaces: Spaces) -> list[str]:
    """Everything that is broken, a sentence each, found in bounded memory."""
    with database.snapshot():
        found = list(_faults(database, spaces))
    # The comparison of all words counts as a write for SQLite, which none of the others is.
    if not (found or database.read_only or database.in_transaction):
        found += _lexical_words_faults(database)
    return found


def _faults(database: Database, spaces: Spaces) -> Iterator[str]:
    damaged = [text for (text,) in database.rows(statements.QUICK_CHECK) if text != "ok"]
    if damaged:  # what else is read from such a file means nothing
        yield from (f"SQLite: {text}." for text in damaged)
        return
    for table, parent, n in database.rows(statements.ORPHANS):
        yield f"{n} rows of {table} belong to rows of {parent} that are gone."
    for stored in spaces.all():
        yield from _space_faults(database, stored)
        yield from _segment_faults(database, stored)
    yield from _lexical_faults(database)
    yield from leases.faults(*database.rows(queue_statements.FAULTS)[0])


def _space_faults(database: Database, stored: StoredSpace) -> Iterator[str]:
    name = f"space {stored.number} ({stored.space.model})"
    if stored.role in {"main", "code"}:
        n_missing = database.value(of_space(statements.N_MISSING, stored.number, stored.holds))
        if n_missing:
            yield f"{n_missing} passages have no vector in {name}, so search cannot find them."
    if stored.holds != EVERYTHING:
        misplaced = of_space(statements.N_MISPLACED, stored.number, stored.holds)
        if n_misplaced := database.value(misplaced):
            yield f"{n_misplaced} vectors in {name} are of documents that belong into another one."
    n_long, bad = 0, 0
    for rows in _batches(database, stored.number):
        blobs = [blob for _, blob in rows if len(blob) == 2 * stored.space.dimensions]
        n_long += len(rows) - len(blobs)
        table = np.frombuffer(b"".join(blobs), "<f2").reshape(len(blobs), stored.space.dimensions)
        bad += int(unusable(table).sum())
    if n_long:
        yield f"{n_long} vectors in {name} are not {stored.space.dimensions} values long."
    if bad:
        yield f"{bad} vectors in {name} are NaN, infinite or all zero."


def _batches(database: Database, number: int) -> Iterator[list[Row]]:
    after = -1
    statement = of_space(statements.VECTORS_AFTER, number)
    while rows := database.rows(statement, (after, BATCH)):
        yield rows
        after = rows[-1][0]


def _segment_faults(database: Database, stored: StoredSpace) -> Iterator[str]:
    for first, last in database.rows(statements.SEGMENTS, (stored.number,)):
        ids_blob, codes = database.rows(statements.SEGMENT, (stored.number, first))[0]
        ids = np.frombuffer(ids_blob, "<i8")
        if not (
            _same_ids(database, stored.number, ids, first, last)
            and _same_codes(database, stored, ids, codes)
        ):
            yield (
                f"The compact codes of passages {first} to {last} in space {stored.number} do not "
                "agree with their vectors."
            )


def _same_ids(database: Database, number: int, ids: IntArray, first: int, last: int) -> bool:
    """Whether a segment has all the ids that it covers, and else only removed ones."""
    if not len(ids) or (np.diff(ids) <= 0).any() or (ids[0], ids[-1]) != (first, last):
        return False
    rows = database.rows(of_space(statements.VECTOR_IDS_BETWEEN, number), (first, last))
    held = np.fromiter((chunk for (chunk,) in rows), np.int64, len(rows))
    extra = np.setdiff1d(ids, held, assume_unique=True)
    if len(ids) - len(extra) != len(held):
        return False
    removed = database.value(statements.N_REMOVED, (number, json.dumps(extra.tolist())))
    return bool(removed == len(extra))


def _same_codes(database: Database, stored: StoredSpace, ids: IntArray, codes: bytes) -> bool:
    """Whether a sample of a segment's codes is what the vectors give."""
    words = n_words(stored.space.dimensions)
    if len(codes) != 8 * words * len(ids):
        return False
    chosen = json.dumps(spread(ids, CODES_PER_SEGMENT).tolist())
    rows = database.rows(of_space(statements.VECTORS, stored.number), (chosen,))
    whole = [(chunk, blob) for chunk, blob in rows if len(blob) == 2 * stored.space.dimensions]
    if not whole:
        return True
    halves = np.frombuffer(b"".join(blob for _, blob in whole), "<f2")
    columns = np.frombuffer(codes, "<u8").reshape(words, len(ids))
    at = np.searchsorted(ids, [chunk for chunk, _ in whole])
    expected = encode(halves.reshape(len(whole), stored.space.dimensions))
    return bool((columns[:, at] == expected).all())


def _lexical_faults(database: Database) -> Iterator[str]:
    (unindexed, gone), *_ = database.rows(statements.LEXICAL_IDS)
    if unindexed:
        yield f"{unindexed} passages are not in the lexical index."
    if gone:
        yield f"{gone} rows of the lexical index belong to passages that are gone."


def _lexical_words_faults(database: Database) -> Iterator[str]:
    if database.value(statements.N_CHUNKS) > DEEP_CHUNKS:
        return
    try:
        database.rows(statements.LEXICAL_CHECK)
    except (StoreBusyError, StoreFullError, StoreReadOnlyError):
        return  # it cannot be done now, which is no fault of the index; the ids agreed
    except StoreError as error:
        yield f"The lexical index does not agree with the passages: {error.problem}"
