"""The numbered schemas: making the newest, and bringing an older file up to it."""

from __future__ import annotations

from importlib import resources

from embedwell.core.errors import NewerStoreError, StoreReadOnlyError
from embedwell.stores.sqlite import faults, statements
from embedwell.stores.sqlite.database import Database

APPLICATION_ID = 0x656D6277  # "embw"
VERSION = 4
TABLES = frozenset(
    {
        "admissions",
        "chunks",
        "code_segments",
        "collections",
        "document_metadata",
        "documents",
        "files_queue",
        "ingestion_metrics",
        "ingestion_runs",
        "lexical",
        "proofs",
        "removed_vectors",
        "sources",
        "space_history",
        "spaces",
        "vec_tables",
        "workers",
    }
)
"""Tables without which a file is damaged; each space has one of its vectors beside them."""


def schema_text(version: int) -> str:
    """The statements that lead to a version from the one before."""
    return resources.files(__package__).joinpath(f"{version:03}.sql").read_text("utf-8")


def make(database: Database) -> None:
    """Give an empty file the newest schema."""
    with database.transaction():
        database.rows(statements.SET_APPLICATION_ID.format(number=APPLICATION_ID))
        _go_up(database, 0)


def bring_up_to_date(database: Database) -> None:
    """Make an older schema the newest, in one transaction: killed in it, the file is as before.

    Raises:
        NewerStoreError: A newer embedwell wrote the file.
        StoreReadOnlyError: It is an older one's, and not opened for writing.
        StoreError: Tables are missing.
    """
    version = database.value(statements.USER_VERSION)
    if version > VERSION:
        raise NewerStoreError(
            f"{database.path} has schema {version}; this embedwell knows up to {VERSION}.",
            "Update embedwell, or index again into another file with `--db FILE`.",
        )
    if version < VERSION:
        if database.read_only:
            raise StoreReadOnlyError(
                f"{database.path} was made by an older embedwell (schema {version}, now "
                f"{VERSION}) and cannot be brought up to date without writing to it.",
                "Open it once where it can be written, as `embedwell doctor` does; "
                "what is in it stays.",
            )
        _upgrade(database)
    with database.snapshot():  # a migration may drop a space meanwhile
        _check_tables(database)


def _upgrade(database: Database) -> None:
    # Switched off because tables that others refer to are replaced; no effect in a transaction.
    database.rows(statements.NO_FOREIGN_KEYS)
    try:
        with database.transaction():
            version = database.value(statements.USER_VERSION)  # another process may have done it
            _go_up(database, version)
            if orphans := database.rows(statements.FOREIGN_KEY_CHECK):
                raise faults.damaged(database.path, f"{len(orphans)} rows without their parent")
    finally:
        database.rows(statements.FOREIGN_KEYS)


def _go_up(database: Database, version: int) -> None:
    for number in range(version + 1, VERSION + 1):
        database.script(schema_text(number))
        database.rows(statements.SET_USER_VERSION.format(number=number))


def _check_tables(database: Database) -> None:
    tables = {name for (name,) in database.rows(statements.SCHEMA_TABLES)}
    wanted = set(TABLES)
    if "spaces" in tables:
        wanted |= {f"vectors_{number}" for (number,) in database.rows(statements.SPACE_NUMBERS)}
    if missing := wanted - tables:
        raise faults.damaged(database.path, f"without its tables {', '.join(sorted(missing))}")
