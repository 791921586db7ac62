"""What we keep about columns of an application, in a table of our schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedwell.core.build import BuildRecord
from embedwell.core.space import Space
from embedwell.stores.columns import ColumnPlace, ColumnSpace
from embedwell.stores.postgres import column_statements as sql
from embedwell.stores.postgres.column_parts import spellings
from embedwell.stores.postgres.upgrade import Names
from embedwell.stores.spaces import Reference

if TYPE_CHECKING:
    from psycopg import Connection


def is_there(connection: Connection, names: Names) -> bool:
    """Whether anything was kept yet."""
    row = connection.execute(sql.HAS_STATE, [names.schema]).fetchone()
    return bool(row and row[0])


def texts_of(connection: Connection, oid: int, place: ColumnPlace) -> tuple[str, ...]:
    """The columns with the texts of a column; empty where nothing is known of it."""
    for name in spellings(place.column):
        for row in connection.execute(sql.STATE, [oid, name]):
            return space_of(row).texts
    return ()


def space_of(row: tuple[Any, ...]) -> ColumnSpace:
    """A row of `column_statements.STATE`."""
    number, role, declaration, artifact, texts, probes, blob, build = row
    space = Space.from_json(declaration)
    reference = None
    if probes is not None:
        vectors = np.frombuffer(blob, "<f4").astype(np.float32).reshape(-1, space.dimensions)
        reference = Reference(probes, vectors, BuildRecord.from_json(build))
    return ColumnSpace(number, role, space, artifact, tuple(texts), reference)
