"""Vectors of one table, held in memory in the form that suits their number."""

from __future__ import annotations

from collections.abc import Callable

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.stores.scan.bits import HalfArray
from embedwell.stores.scan.codes import NOTHING, Codes, nearest
from embedwell.stores.scan.exact import ExactIndex
from embedwell.stores.values import Scored

EXACT_ROWS = 8_192
"""Up to so many rows all values are held, 12 MB of 384 dimensions: exact, and as fast as codes."""


class Held:
    """A few vectors as they are; of many, compact codes, and the best rows fetched again.

    Ids only grow: what is appended has ids above all that were ever held.

    Args:
        dimensions: d.
        fetch: Gives the stored vectors of some ascending ids that are held: float16, shape (n, d).
        exact_rows: Up to how many rows all values are held.
    """

    def __init__(
        self,
        dimensions: int,
        fetch: Callable[[IntArray], HalfArray],
        exact_rows: int = EXACT_ROWS,
    ) -> None:
        self._dimensions = dimensions
        self._fetch = fetch
        self._exact_rows = exact_rows
        self._rows: ExactIndex | Codes = ExactIndex(dimensions)
        self._last_id = NOTHING

    def __len__(self) -> int:
        """How many rows may be found."""
        return len(self._rows)

    @property
    def last_id(self) -> int:
        """The highest id ever appended, `NOTHING` (below all ids) if none."""
        return self._last_id

    def append(self, ids: IntArray, halves: HalfArray) -> None:
        """Add rows.

        Args:
            ids: int64, shape (n,), ascending, above `last_id`.
            halves: float16, shape (n, d).
        """
        if not len(ids):
            return
        if len(self._rows) + len(ids) > self._exact_rows:
            self._codes().append(ids, halves)
        else:
            self._rows.append(ids, halves)
        self._last_id = int(ids[-1])

    def append_segment(self, last: int, ids: bytes, codes: bytes) -> None:
        """Add rows in the form of `codes.Segment`."""
        self._codes().append_segment(ids, codes)
        self._last_id = last

    def remove(self, ids: IntArray) -> None:
        """Forget rows; ids that are not held are passed over."""
        if len(ids):
            self._rows.remove(ids)

    def nearest(self, vector: FloatArray, k: int, allowed: IntArray | None) -> Scored:
        """The k rows with the highest cosine; see `Index.nearest`."""
        if isinstance(self._rows, ExactIndex):
            return self._rows.nearest(vector, k, allowed)
        return nearest(self._rows, vector, k, allowed, self._fetch)

    def _codes(self) -> Codes:
        if isinstance(self._rows, ExactIndex):
            codes = Codes(self._dimensions)
            if len(self._rows):
                codes.append(self._rows.ids, self._fetch(self._rows.ids))
            self._rows = codes
        return self._rows
