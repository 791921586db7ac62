"""The stores by kind. Third parties add theirs under the entry point `embedwell.stores`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, cast

from embedwell.core.errors import QueueError, StoreNotFoundError
from embedwell.stores.columns import ColumnPlace, ColumnStore
from embedwell.stores.index import IndexName
from embedwell.stores.migrations import Migrations
from embedwell.stores.protocol import CollectionSettings, Store
from embedwell.stores.rows import QueriedRows, VectorColumn, VectorPlace

STORES = {
    "sqlite": "embedwell.stores.sqlite:SqliteStore",
    "postgresql": "embedwell.stores.postgres.store:PostgresStore",
    "postgres-embedded": "embedwell.stores.postgres.store:PostgresStore",
}
MIGRATIONS = {"postgresql": "embedwell.stores.postgres.migrations:PostgresMigrations"}
COLUMNS = {"postgresql": "embedwell.stores.postgres.columns:PostgresColumn"}
ROWS = {
    "sqlite": "embedwell.stores.foreign.query:rows_of",
    "postgresql": "embedwell.stores.postgres.query:rows_of",
}
VECTORS = {"sqlite": "embedwell.stores.foreign.write_back:SqliteVectors"}

_EMBEDDED = "postgres-embedded"
_OTHER_NAMES = {"postgres": "postgresql", _EMBEDDED: "postgresql"}


class StoreFactory(Protocol):
    """What a store's class offers besides `Store`: the two ways to get one."""

    def create(
        self, target: str | Path, settings: CollectionSettings, *, index: IndexName = "auto"
    ) -> Store:
        """Make a new store; raises `StoreError` where one exists."""
        ...

    def open(
        self, target: str | Path, *, read_only: bool = False, index: IndexName = "auto"
    ) -> Store:
        """Open a store that exists; raises `StoreNotFoundError` where none does."""
        ...


def create_store(
    target: str | Path, settings: CollectionSettings, *, index: IndexName = "auto"
) -> Store:
    """Make a new, empty store.

    Args:
        target: A file, or an address such as `kind://…`.
        settings: What is fixed from now on.
        index: What searches its vectors, in stores that have a choice.

    Raises:
        StoreError: There is one already, or it cannot be written.
    """
    return _factory(target).create(target, settings, index=index)


def open_store(target: str | Path, *, read_only: bool = False, index: IndexName = "auto") -> Store:
    """Open a store that exists.

    Args:
        target: A file, or an address such as `kind://…`.
        read_only: Never write; a place that cannot be written is opened so by itself.
        index: What searches its vectors, in stores that have a choice.

    Raises:
        StoreNotFoundError: There is none.
        ForeignStoreError: It belongs to another program.
        NewerStoreError: A newer embedwell wrote it.
    """
    return _factory(target).open(target, read_only=read_only, index=index)


def store_kind(target: str | Path) -> str:
    """The kind that a target names: what stands before `://` in it, else `sqlite`.

    An application's address may name its driver as well (`postgresql+asyncpg://…`).
    """
    if isinstance(target, Path):
        return "sqlite"
    scheme, _, rest = target.partition(":")
    if not rest.startswith("//") and scheme != _EMBEDDED:
        return "sqlite"
    kind = scheme.partition("+")[0].lower()
    return _OTHER_NAMES.get(kind, kind)


def migrations(target: str) -> Migrations:
    """The migrations of a database server.

    Args:
        target: Its address.

    Raises:
        StoreNotFoundError: There is no such kind of server.
        MissingExtraError: What its migrations need is not installed.
        SettingsError: The address is not understood.
    """
    kind = store_kind(target)
    if place := MIGRATIONS.get(kind):
        return cast("Migrations", _named(place)(target))
    raise StoreNotFoundError(
        f"There are no migrations for '{kind}'.",
        f"Give the address of a server: {', '.join(MIGRATIONS)}.",
    )


def open_column(target: str | Path, place: ColumnPlace) -> ColumnStore:
    """A column of vectors in a table of an application's own.

    Args:
        target: The address of its database.
        place: The column.

    Raises:
        StoreNotFoundError: Columns of this kind of database are not moved.
        MigrationError: There is no such table or column, or it is of another kind.
        StoreError: The database cannot be reached, or does not let us look.
        SettingsError: The address is not understood.
    """
    kind = store_kind(target)
    if place_of := COLUMNS.get(kind):
        return cast("ColumnStore", _named(place_of)(target, place))
    raise StoreNotFoundError(
        f"Columns of an application are not moved in '{kind}'.",
        f"Give the address of a server: {', '.join(COLUMNS)}.",
    )


def open_rows(target: str | Path, query: str) -> AbstractContextManager[QueriedRows]:
    """The rows that a query over an application's own tables gives; it cannot write.

    Args:
        target: The application's SQLite file, or the address of its database.
        query: One SELECT.

    Raises:
        QueueError: The query cannot be run.
        StoreNotFoundError: There is no such file, or no such kind of database.
        StoreError: The database cannot be reached, or does not let us look.
    """
    kind = store_kind(target)
    if place := ROWS.get(kind):
        return cast("AbstractContextManager[QueriedRows]", _named(place)(target, query))
    raise StoreNotFoundError(
        f"There are no queries in '{kind}'.", f"Give a file, or one of: {', '.join(ROWS)}."
    )


def open_vectors(target: str | Path, place: VectorPlace, dimensions: int) -> VectorColumn:
    """A column of an application's own that is given vectors of documents.

    Args:
        target: The application's SQLite file.
        place: The column.
        dimensions: Length of the vectors.

    Raises:
        QueueError: There is no such column, it holds something else, or it is in a server.
        StoreError: The file cannot be written.
    """
    kind = store_kind(target)
    if found := VECTORS.get(kind):
        return cast("VectorColumn", _named(found)(target, place, dimensions))
    raise QueueError(
        f"Vectors are not written back into '{kind}' by `embedwell index`.",
        f"`embedwell migrate --table {place.table} --column {place.column} --text COLUMN "
        "--to MODEL` fills the column and keeps the application running meanwhile.",
    )


def _factory(target: str | Path) -> StoreFactory:
    kind = store_kind(target)
    if place := STORES.get(kind):
        return cast("StoreFactory", _named(place))
    for entry in entry_points(group="embedwell.stores", name=kind):
        return cast("StoreFactory", entry.load())
    raise StoreNotFoundError(
        f"There is no kind of store '{kind}'.",
        f"Give a file, or one of: {', '.join(STORES)}; or install the store's package.",
    )


def _named(place: str) -> Any:  # noqa: ANN401 - whatever the registry names
    module, attribute = place.split(":")
    return getattr(import_module(module), attribute)
