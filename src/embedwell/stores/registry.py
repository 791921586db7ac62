"""The stores by kind. Third parties add theirs under the entry point `embedwell.stores`."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, cast

from embedwell.core.errors import StoreNotFoundError
from embedwell.stores.protocol import CollectionSettings, Store

STORES = {"sqlite": "embedwell.stores.sqlite:SqliteStore"}


class StoreFactory(Protocol):
    """What a store's class offers besides `Store`: the two ways to get one."""

    def create(self, target: str | Path, settings: CollectionSettings) -> Store:
        """Make a new store; raises `StoreError` where one exists."""
        ...

    def open(self, target: str | Path, *, read_only: bool = False) -> Store:
        """Open a store that exists; raises `StoreNotFoundError` where none does."""
        ...


def create_store(target: str | Path, settings: CollectionSettings) -> Store:
    """Make a new, empty store.

    Args:
        target: A file, or an address such as `kind://…`.
        settings: What is fixed from now on.

    Raises:
        StoreError: There is one already, or it cannot be written.
    """
    return _factory(target).create(target, settings)


def open_store(target: str | Path, *, read_only: bool = False) -> Store:
    """Open a store that exists.

    Args:
        target: A file, or an address such as `kind://…`.
        read_only: Never write; a place that cannot be written is opened so by itself.

    Raises:
        StoreNotFoundError: There is none.
        ForeignStoreError: It belongs to another program.
        NewerStoreError: A newer embedwell wrote it.
    """
    return _factory(target).open(target, read_only=read_only)


def store_kind(target: str | Path) -> str:
    """The kind that a target names: what stands before `://`, else `sqlite`."""
    kind, separator, _ = str(target).partition("://")
    return kind if separator and not isinstance(target, Path) else "sqlite"


def _factory(target: str | Path) -> StoreFactory:
    kind = store_kind(target)
    if place := STORES.get(kind):
        module, attribute = place.split(":")
        return cast("StoreFactory", getattr(import_module(module), attribute))
    for entry in entry_points(group="embedwell.stores", name=kind):
        return cast("StoreFactory", entry.load())
    raise StoreNotFoundError(
        f"There is no kind of store '{kind}'.",
        f"Give a file, or one of: {', '.join(STORES)}; or install the store's package.",
    )
