"""The database server that the commands work on."""

from __future__ import annotations

from embedwell.app.config.configuration import application_database, load
from embedwell.core.errors import StoreNotFoundError, StoreSetupError
from embedwell.stores.migrations import Migrations
from embedwell.stores.registry import migrations, store_kind


def migrations_for(db: str | None, *, offline: bool = False) -> Migrations:
    """The migrations of a server.

    Args:
        db: Its address; else the settings name it (`db`, `database_url`), else the application's
            own variable, `DATABASE_URL`.
        offline: Whether no server will be asked, so that none has to be named.

    Raises:
        StoreNotFoundError: None is named.
        StoreSetupError: A file is named, which has no migrations of this kind.
        MissingExtraError: What they need is not installed.
        SettingsError: The address is not understood.
    """
    settings = load({"db": db}).settings
    if db and store_kind(db) == "sqlite":
        raise StoreSetupError(
            f"{db} is a file: it is brought up to date when it is opened.",
            "Name a server with --db postgresql://…, or in EMBEDWELL_DATABASE_URL.",
        )
    for named in (settings.db, settings.database_url, application_database()):
        if named and store_kind(named) != "sqlite":
            return migrations(named)
    if offline:
        return migrations("postgresql://")
    raise StoreNotFoundError(
        "No database server is named.",
        "Name it with --db postgresql://…, or in EMBEDWELL_DATABASE_URL or DATABASE_URL.",
    )
