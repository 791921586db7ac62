"""Opening a database for a store: what the server must offer, and making what is not there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from embedwell.core.errors import StoreError, StoreNotFoundError, StoreSetupError
from embedwell.stores.postgres import statements
from embedwell.stores.postgres.address import Address
from embedwell.stores.postgres.database import Database, connect
from embedwell.stores.postgres.upgrade import HEAD, current, upgrade
from embedwell.stores.postgres.vectors import LEAST_EF_SEARCH

if TYPE_CHECKING:
    from psycopg import Connection

LEAST_SERVER = 130_000
"""PostgreSQL 13: the oldest that pgvector 0.8 is made for."""
LEAST_EXTENSION = (0, 7)
"""The first pgvector with halfvec."""
FORSAKEN_S = 30
"""Seconds without a word in the middle of a transaction, after which the server ends it."""
ITERATIVE_SCANS = (0, 8)
"""The first that walks its index until enough rows pass a filter."""


def open_database(address: Address, *, read_only: bool) -> Database:
    """Open a database whose schema is there, bringing an older one up to date.

    Raises:
        StoreNotFoundError: Nothing of ours is there.
        ForeignStoreError: Under our names is something of another program.
        NewerStoreError: A newer embedwell made it.
        StoreGoneError: No server answers.
        StoreSetupError: It does not let us in, or lacks an extension, a version or a right.
    """
    with connect(address) as connection:
        version = current(connection, address.names)
        if version is None:
            raise not_found(address)
        extension = check_server(connection, address)
        if version != HEAD:
            upgrade(connection, address.names)
    return Database(address, session_text(extension, read_only=read_only), read_only=read_only)


def make_database(address: Address) -> Database:
    """Open a database, making the schema where it is not there.

    Raises:
        StoreError: As `open_database`, but that nothing is there.
    """
    with connect(address) as connection:
        current(connection, address.names)
        extension = check_server(connection, address)
        upgrade(connection, address.names)
    return Database(address, session_text(extension, read_only=False), read_only=False)


def check_server(connection: Connection, address: Address) -> tuple[int, ...]:
    """The version of the extension, added where it is not there yet.

    Raises:
        StoreSetupError: The server or the extension is too old, or missing and cannot be added.
    """
    server = int(_value(connection, statements.SERVER_VERSION))
    if server < LEAST_SERVER:
        raise StoreSetupError(
            f"The server of {address.shown} is PostgreSQL {server // 10_000}; "
            f"{LEAST_SERVER // 10_000} or newer is needed.",
            "Update it, or name another server.",
        )
    version = _value(connection, statements.EXTENSION_VERSION)
    if not version:
        _add_extension(connection, address)
        version = _value(connection, statements.EXTENSION_VERSION)
    parts = tuple(int(part) for part in re.findall(r"\d+", version))
    if parts < LEAST_EXTENSION:
        raise StoreSetupError(
            f"{address.shown} has pgvector {version}; "
            f"{'.'.join(map(str, LEAST_EXTENSION))} or newer is needed.",
            "Install a newer one on the server, then let an administrator run there: "
            "ALTER EXTENSION vector UPDATE;",
        )
    return parts


def session_text(extension: tuple[int, ...], *, read_only: bool) -> str:
    """SQL that every connection of a store runs first."""
    forsaken = statements.FORSAKEN.format(idle_s=FORSAKEN_S)
    lines = [statements.LOCK_TIMEOUT, forsaken, f"SET hnsw.ef_search = {LEAST_EF_SEARCH}"]
    if extension >= ITERATIVE_SCANS:
        lines.append("SET hnsw.iterative_scan = relaxed_order")
    if read_only:
        lines.append("SET default_transaction_read_only = on")
    return "; ".join(lines)


def not_found(address: Address) -> StoreNotFoundError:
    """Nothing of ours is there."""
    return StoreNotFoundError(
        f"There is no index in schema '{address.names.schema}' of {address.shown}.",
        "Make one with `embedwell index --db`.",
    )


def _add_extension(connection: Connection, address: Address) -> None:
    from psycopg import errors  # noqa: PLC0415 - loaded by now

    database = _value(connection, statements.DATABASE)
    if not _value(connection, statements.EXTENSION_OFFERED):
        raise StoreSetupError(
            f"The server of {address.shown} has no pgvector (the extension 'vector').",
            "Install it on the server: https://github.com/pgvector/pgvector#installation.",
        )
    try:
        connection.execute(statements.ADD_EXTENSION)
    except errors.UniqueViolation:  # another process added it at the same moment
        return
    except errors.InsufficientPrivilege as error:
        raise StoreSetupError(
            f"Database '{database}' lacks the extension 'vector', and the user of "
            f"{address.shown} may not add it.",
            f"Let an administrator run in it, once: CREATE EXTENSION vector; "
            f'as with: psql -d "{database}" -c "CREATE EXTENSION vector;"',
        ) from error
    except errors.ReadOnlySqlTransaction as error:
        raise StoreError(
            f"{address.shown} lacks the extension 'vector' and takes only reads.",
            "Name the server that takes writes.",
        ) from error


def _value(connection: Connection, statement: str) -> str:
    row = connection.execute(statement).fetchone()
    return str(row[0]) if row else ""
