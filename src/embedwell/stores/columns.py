"""A column of vectors in a table of an application's own, moved to another space."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray
from embedwell.stores.spaces import Reference

ColumnRole = Literal["main", "next", "kept"]
"""As of `stores.spaces.Role`: `main` is the application's column, `next` is filled beside it, and
`kept` was the application's."""


@dataclass(frozen=True)
class ColumnPlace:
    """Which column, as a person names it.

    Attributes:
        table: Its table, with or without the schema.
        column: Its name.
        texts: The columns whose texts, joined by lines, are what is embedded; may be empty where a
            migration was begun and knows them.
        key: The columns that tell rows apart; empty for the primary key.
    """

    table: str
    column: str
    texts: tuple[str, ...] = ()
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnSpace:
    """What is known of the vectors of a column.

    Attributes:
        number: Its name in this database.
        role: Which of the columns.
        space: The declaration.
        artifact: Name of what computes them, such as `all-MiniLM-L6-v2@q8`.
        texts: The columns that are embedded.
        reference: What every build is measured against; None before the first vector.
    """

    number: int
    role: ColumnRole
    space: Space
    artifact: str
    texts: tuple[str, ...]
    reference: Reference | None


@dataclass(frozen=True)
class ColumnFacts:
    """What is there.

    Attributes:
        table: With its schema, as SQL writes it.
        column: As SQL writes it.
        kind: The type of its vectors, which the new column's will be as well.
        dimensions: Their length; None where the column takes any.
        is_required: Whether the column is NOT NULL: rows without text then get a vector too.
        n_rows: Rows of the table.
        n_with_text: Those that have a text.
        n_missing: Those that the new column needs a vector for.
        n_losing: Those that have a vector and will have none, as they have no text.
        row_bytes: Bytes of a row on average, its longest values left out.
        index_bytes: Bytes of the indexes over the column.
        indexes: Their definitions.
        triggers: Names of triggers of the application that run when a row gets its vector.
        has_kept: Whether a column that was kept by an earlier migration is there.
    """

    table: str
    column: str
    kind: str
    dimensions: int | None
    is_required: bool
    n_rows: int
    n_with_text: int
    n_missing: int
    n_losing: int
    row_bytes: float
    index_bytes: int
    indexes: tuple[str, ...]
    triggers: tuple[str, ...]
    has_kept: bool


@dataclass(frozen=True)
class ColumnRow:
    """A row whose text is embedded.

    Attributes:
        key: Values of the key, as text.
        pieces: Values of the columns with the text.
    """

    key: tuple[str, ...]
    pieces: tuple[str | None, ...]

    @property
    def text(self) -> str:
        """What is embedded: the pieces that are not blank, each on a line of its own."""
        return "\n".join(piece for piece in self.pieces if piece and piece.strip())


@dataclass(frozen=True)
class Switched:
    """How the switch went.

    Attributes:
        n_filled: Rows that got their vector under the lock.
        locked_s: Seconds that the table was locked.
    """

    n_filled: int
    locked_s: float


EmbedRows = Callable[[Sequence[ColumnRow]], FloatArray]
"""Vectors of rows: float32, shape (n, d)."""


class ColumnStore(Protocol):
    """One column. The application reads and writes its table all the while.

    Every method may raise `StoreError` and its kinds. Where a method must lock the table, it waits
    a moment for that, lets those go on who queue up behind it, and tries again; after minutes of
    that it raises `StoreBusyError`.
    """

    @property
    def shown(self) -> str:
        """Where it is, for people."""
        ...

    def locked(self) -> AbstractContextManager[None]:
        """Keep other migrations of this column out.

        Raises:
            StoreBusyError: One is under way.
        """
        ...

    @property
    def is_indexed(self) -> bool:
        """Whether a search of the column reads an index, and not the whole table."""
        ...

    def facts(self, dimensions: int) -> ColumnFacts:
        """Look at what is there; nothing is written.

        Args:
            dimensions: Of the new vectors.

        Raises:
            MigrationError: It cannot be moved: what is in the way, and what to do.
        """
        ...

    def spaces(self) -> list[ColumnSpace]:
        """What is known of the column, of the new one and of the one that was kept."""
        ...

    def sample(self, n: int) -> list[ColumnRow]:
        """At most n rows that have a text, spread over the table."""
        ...

    def begin(self, space: Space, artifact: str, watch: Watch) -> ColumnSpace:
        """Add the new column, and see to it that changed texts lose their vector in it."""
        ...

    def refer(self, number: int, reference: Reference) -> Reference:
        """Set the reference of a space that has none; gives the one that it has now."""
        ...

    def n_missing(self) -> int:
        """Rows that need a vector in the new column and have none."""
        ...

    def missing(self, after: tuple[str, ...] | None, n: int) -> list[ColumnRow]:
        """The first n of them in the order of the key, beyond a row's."""
        ...

    def fill(self, rows: Sequence[ColumnRow], vectors: FloatArray) -> int:
        """Write vectors of rows whose text is still the same; who holds a row is not waited for.

        Returns:
            How many rows got theirs.
        """
        ...

    def build_indexes(self, watch: Watch) -> None:
        """Build what is not there yet of the indexes over the new column, beside the writers.

        Raises:
            TaskCancelledError: `watch` was asked to stop.
        """
        ...

    def finds(self, row: ColumnRow, vector: FloatArray, k: int) -> bool:
        """Whether a search for a vector in the new column gives a row among the first k."""
        ...

    def switch(self, embed: EmbedRows, watch: Watch, *, keep: bool) -> Switched | None:
        """Put the new column in the place of the old one, in one short transaction.

        Args:
            embed: Gives the vectors of the last rows.
            watch: Stops the waiting for the lock.
            keep: Whether the old column stays beside it.

        Returns:
            None where too many rows were missing, or an index; then nothing was changed.
        """
        ...

    def finish(self, watch: Watch) -> None:
        """Do what is left after a switch that was killed: make the column NOT NULL again."""
        ...

    def roll_back(self, watch: Watch) -> None:
        """Exchange the column and the one that was kept.

        Raises:
            MigrationError: None was kept, or rows were written since.
        """
        ...

    def drop(self, role: Literal["next", "kept"], watch: Watch) -> None:
        """Drop the new column of a migration that was begun, or the one that was kept.

        Raises:
            MigrationError: There is none.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def split_names(given: str) -> tuple[str, ...]:
    """The names in a list with commas; one with a comma in it stands in double quotes."""
    return tuple(name for name in next(csv.reader([given], skipinitialspace=True), []) if name)
