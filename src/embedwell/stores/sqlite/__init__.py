"""The store in one SQLite file, through the standard library. Reached by `stores.registry`."""

from embedwell.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
