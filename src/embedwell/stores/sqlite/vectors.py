"""Which index searches the vectors of a space."""

from __future__ import annotations

from embedwell.stores.held import EXACT_ROWS
from embedwell.stores.index import Index
from embedwell.stores.sqlite.database import Database
from embedwell.stores.sqlite.memory_index import MemoryIndex


def open_index(database: Database, space: int, dimensions: int) -> Index:
    """An index over the vectors of one space; nothing is loaded yet."""
    return MemoryIndex("codes (numpy)", database, space, dimensions, EXACT_ROWS)
