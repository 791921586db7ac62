"""What an application's table gives, whatever kind of table it is."""

from __future__ import annotations

from typing import Any, Protocol

from embedwell.core.vectors import FloatArray, IntArray


class Source(Protocol):
    """Vectors by the numbers of their rows, as they are in the file now."""

    @property
    def form(self) -> str:
        """How they are stored, for people: `float32`, `JSON text`, …; empty while unknown."""
        ...

    def marks(self) -> tuple[IntArray, IntArray]:
        """All rows, and what changes when a row's vector does.

        Returns:
            int64, shape (n,), ascending; and a hash of how each vector begins: int64, shape (n,).
        """
        ...

    def vectors(self, rows: IntArray) -> FloatArray:
        """Vectors of length 1: float32, shape (len(rows), d); NaN where one is gone or unusable.

        Args:
            rows: Row numbers, ascending.
        """
        ...

    def ids(self, rows: IntArray) -> list[Any]:
        """The application's own ids; None where a row is gone."""
        ...
