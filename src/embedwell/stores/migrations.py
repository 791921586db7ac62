"""What `embedwell db` does with a database server, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Revision:
    """One state of the schema.

    Attributes:
        name: Its number.
        follows: The one before it; None for the first.
        summary: What it brings.
    """

    name: str
    follows: str | None
    summary: str


@dataclass(frozen=True)
class State:
    """Where a database stands.

    Attributes:
        database: Its address, without a password.
        schema: The schema that holds our things.
        revision: The one that it is at; None where nothing of ours is there.
        newest: The newest one known.
    """

    database: str
    schema: str
    revision: str | None
    newest: str


@dataclass(frozen=True)
class VectorColumn:
    """A column of vectors in a table of the application's.

    Attributes:
        table: With its schema, as SQL writes it.
        column: Its name.
        type: `vector(768)`, `halfvec(384)`, ….
        dimensions: None where the column takes any.
        rows: Rows of the table; None where they cannot be counted.
        rows_exact: Whether they were counted; else the server's own estimate.
        indexes: Those over this column: name, method and what it compares with.
    """

    table: str
    column: str
    type: str
    dimensions: int | None
    rows: int | None
    rows_exact: bool
    indexes: tuple[str, ...]


@dataclass(frozen=True)
class Adoption:
    """What adopting a database finds and does.

    Attributes:
        state: Where it stands.
        tables: How many tables it has that are not ours.
        columns: Those of their columns that hold vectors.
        steps: What is done, a sentence each.
    """

    state: State
    tables: int
    columns: tuple[VectorColumn, ...]
    steps: tuple[str, ...]


class Migrations(Protocol):
    """The schema of one database, moved between its revisions.

    Every method that reaches the database may raise `StoreGoneError`, `StoreSetupError`,
    `ForeignStoreError` and `NewerStoreError`; then nothing is changed.
    """

    def state(self) -> State:
        """Where the database stands."""
        ...

    def history(self) -> Sequence[Revision]:
        """All revisions, the oldest first; no server is asked."""
        ...

    def upgrade(self, revision: str) -> State:
        """Go up to a revision, or to `head`.

        Raises:
            StoreError: There is no such revision.
        """
        ...

    def downgrade(self, revision: str) -> State:
        """Go back to a revision; what later ones made is dropped, with all that is in it.

        Raises:
            StoreError: There is no such revision, or no way back to it.
        """
        ...

    def sql(self, revision: str, *, down: bool = False) -> str:
        """The SQL that would be run, from nothing up, or from the newest down, to a revision.

        `001:002` names where it begins; no server is asked.

        Raises:
            StoreError: There is no such revision, or no way back to it.
        """
        ...

    def survey(self) -> Adoption:
        """What is there to adopt; changes nothing.

        Raises:
            StoreError: It was adopted already, or has our tables.
        """
        ...

    def adopt(self) -> State:
        """Give a database with tables of its own the baseline revision, and touch none of them.

        Raises:
            StoreError: It was adopted already, or has our tables.
        """
        ...
