"""Code segments: the compact codes of vectors as they lie in the file, and keeping them current.

What is not in a segment yet is read from the vectors themselves, so that nothing depends on them:
they only make the first search of a process fast.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from embedwell.core.vectors import IntArray
from embedwell.stores.scan.bits import Columns, HalfArray, encode, n_words
from embedwell.stores.scan.blocks import BLOCK
from embedwell.stores.sqlite import faults, statements
from embedwell.stores.sqlite.database import Database, Row
from embedwell.stores.sqlite.statements import of_space

BEFORE_ALL = -(2**63)
"""Below every chunk's id."""
BATCH = 4_096
"""Vectors read at once: 3 MB of 384 dimensions."""


def keep_up(database: Database, space: int, dimensions: int) -> None:
    """Write the segments that vectors have become enough for; inside a write transaction.

    Where removed vectors have become as many as a quarter of those in segments, all are written
    anew.
    """
    if _n_removed(database, space) > BLOCK + _n_segments(database, space) * BLOCK // 4:
        rewrite(database, space, dimensions)
    while is_behind(database, space):
        last = last_segment(database, space)
        found = vectors_after(database, space, dimensions, last, BLOCK)
        parts = [(ids, encode(halves)) for ids, halves in found]  # a batch in memory at a time
        ids = np.concatenate([ids for ids, _ in parts])
        columns = np.concatenate([columns for _, columns in parts], axis=1)
        _add(database, space, ids, columns)


def is_behind(database: Database, space: int) -> bool:
    """Whether there are vectors enough for another segment."""
    highest: int | None = database.value(of_space(statements.LAST_VECTOR_ID, space))
    last = last_segment(database, space)
    if highest is None or highest - last < BLOCK:
        return False
    found = database.value(of_space(statements.N_VECTORS_AFTER, space), (last, BLOCK))
    return bool(found == BLOCK)


def rewrite(database: Database, space: int, dimensions: int) -> None:
    """Take removed vectors out of the segments and forget them; inside a write transaction.

    Readers load everything anew: the generation is raised.
    """
    removed = removed_since(database, space, 0)[0]
    ids = np.empty(0, np.int64)
    columns: Columns = np.empty((n_words(dimensions), 0), np.uint64)
    # A new segment begins after all that were not read yet.
    for first, _ in database.rows(statements.SEGMENTS, (space,)):
        old_ids, old_columns = _arrays(_segment(database, space, first), dimensions)
        database.rows(statements.DROP_SEGMENT, (space, first))
        live = ~np.isin(old_ids, removed)
        ids = np.concatenate([ids, old_ids[live]])
        columns = np.concatenate([columns, old_columns[:, live]], axis=1)
        while len(ids) >= BLOCK:
            _add(database, space, ids[:BLOCK], columns[:, :BLOCK])
            ids, columns = ids[BLOCK:], columns[:, BLOCK:]
    database.rows(statements.FORGET_REMOVED, (space,))
    database.rows(statements.RAISE_GENERATION, (space,))
    keep_up(database, space, dimensions)


def segments(database: Database, space: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Last id, ids and codes of each segment in order, one in memory at a time."""
    for first, last in database.rows(statements.SEGMENTS, (space,)):
        ids, codes = _segment(database, space, first)
        yield last, ids, codes


def last_segment(database: Database, space: int) -> int:
    """The highest id in a segment, `BEFORE_ALL` where there is none."""
    last: int | None = database.value(statements.LAST_SEGMENT, (space,))
    return BEFORE_ALL if last is None else last


def vectors_after(
    database: Database, space: int, dimensions: int, after: int, most: int | None = None
) -> Iterator[tuple[IntArray, HalfArray]]:
    """Ids and vectors (float16, shape (n, d)) above an id in batches, at most so many in all."""
    statement = of_space(statements.VECTORS_AFTER, space)
    while most is None or most > 0:
        wanted = BATCH if most is None else min(BATCH, most)
        rows = database.rows(statement, (after, wanted))
        if rows:
            ids = first_column(rows)
            yield ids, halves_in(database, [blob for _, blob in rows], dimensions)
            after = int(ids[-1])
        if len(rows) < wanted:
            return
        most = None if most is None else most - len(rows)


def removed_since(database: Database, space: int, seen: int) -> tuple[IntArray, int]:
    """Ids of the vectors removed after what was seen last, and what to give next time."""
    batches = [np.empty(0, np.int64)]
    while rows := database.rows(statements.REMOVED_SINCE, (space, seen, BATCH)):
        batches.append(first_column(rows))
        seen = rows[-1][1]
    return np.concatenate(batches), seen


def halves_in(database: Database, blobs: list[bytes], dimensions: int) -> HalfArray:
    """Stored vectors: float16, shape (len(blobs), d).

    Raises:
        StoreError: One has another length.
    """
    joined = b"".join(blobs)
    if len(joined) != 2 * dimensions * len(blobs):
        raise faults.damaged(database.path, "vectors of another length than their space's")
    return np.frombuffer(joined, "<f2").reshape(len(blobs), dimensions)


def first_column(rows: list[Row]) -> IntArray:
    """Numbers in the first column: int64, shape (len(rows),)."""
    return np.fromiter((row[0] for row in rows), np.int64, len(rows))


def _n_removed(database: Database, space: int) -> int:
    """At most how many removals are listed; costs two looks at an index."""
    n: int = database.value(statements.REMOVED_SPAN, (space, space))
    return n


def _n_segments(database: Database, space: int) -> int:
    return len(database.rows(statements.SEGMENTS, (space,)))


def _segment(database: Database, space: int, first: int) -> tuple[bytes, bytes]:
    ids, codes = database.rows(statements.SEGMENT, (space, first))[0]
    return ids, codes


def _arrays(segment: tuple[bytes, bytes], dimensions: int) -> tuple[IntArray, Columns]:
    ids = np.frombuffer(segment[0], "<i8")
    return ids, np.frombuffer(segment[1], "<u8").reshape(n_words(dimensions), len(ids))


def _add(database: Database, space: int, ids: IntArray, columns: Columns) -> None:
    blobs = ids.astype("<i8").tobytes(), np.ascontiguousarray(columns, "<u8").tobytes()
    database.rows(statements.ADD_SEGMENT, (space, int(ids[0]), int(ids[-1]), *blobs))
