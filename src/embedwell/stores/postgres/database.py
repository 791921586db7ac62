"""Connections to one database: a small pool, transactions, snapshots, the lock of long jobs."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from embedwell.core.errors import MissingExtraError, StoreBusyError, StoreError, StoreGoneError
from embedwell.stores.postgres import statements
from embedwell.stores.postgres.address import Address
from embedwell.stores.postgres.faults import faults_named, named
from embedwell.stores.postgres.upgrade import Names, search_path_text

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool

CONNECT_S = 10
"""Seconds to wait for a server that does not answer."""
POOL_S = 2
"""Seconds to wait for the pool, before the server is asked whether it is there."""
MOST_CONNECTIONS = 3
"""Of one store, which one thread owns: what it runs, the lock of a long job, one to spare."""
IDLE_S = 1.0
"""Seconds after which a connection is tried before it is used: servers are restarted."""

# A server that is away is in the error; only who configured logging wants to read of each try.
logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())

Row = tuple[Any, ...]
Parameters = Sequence[Any] | dict[str, Any]


class Database:
    """An open database. Everything the driver raises comes out as `StoreError` and its kinds.

    Args:
        address: Where it is.
        session: SQL that every connection runs first.
        read_only: Never write.
    """

    def __init__(self, address: Address, session: str, *, read_only: bool) -> None:
        self.address = address
        self.shown = address.shown
        self.read_only = read_only
        self.n_snapshots = 0
        self._session = session
        self._held: Connection | None = None
        self._in_snapshot = False
        self._used_at = 0.0
        self._pool = self._open_pool()

    @property
    def names(self) -> Names:
        """What our things are called in it."""
        return self.address.names

    @property
    def in_snapshot(self) -> bool:
        """Whether all reads now see one state."""
        return self._in_snapshot

    def rows(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """Run a statement and give all its rows; without any where it has none."""
        with self.connection() as connection:
            cursor = connection.execute(statement, parameters or None, binary=True)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, parameters: Parameters = ()) -> Any:  # noqa: ANN401
        """The first column of the first row, or None."""
        rows = self.rows(statement, parameters)
        return rows[0][0] if rows else None

    def change(self, statement: str, parameters: Parameters = ()) -> int:
        """Run a statement that writes; gives how many rows it changed."""
        with self.connection() as connection:
            return connection.execute(statement, parameters or None).rowcount

    def change_each(self, statement: str, rows: Sequence[Parameters]) -> None:
        """Run a statement for each row, in few round trips."""
        with self.connection() as connection, connection.cursor() as cursor:
            cursor.executemany(statement, rows)

    def values_of_each(self, statement: str, rows: Sequence[Parameters]) -> list[Any]:
        """Run a statement that gives one value for each row, in few round trips."""
        with self.connection() as connection, connection.cursor() as cursor:
            cursor.executemany(statement, rows, returning=True)
            return [row[0] for result in cursor.results() for row in result]

    def copy_rows(self, statement: str, types: Sequence[str], rows: Sequence[Row]) -> None:
        """Send many rows at once.

        Args:
            statement: A `COPY … FROM STDIN (FORMAT binary)`.
            types: Names of the columns' types.
            rows: Values of the columns.
        """
        with (
            self.connection() as connection,
            connection.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def copy_bytes(self, statement: str, data: bytes) -> None:
        """Send many rows at once that are in the form of the wire already."""
        with (
            self.connection() as connection,
            connection.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            copy.write(data)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """The connection of the transaction that is under way, else one for this call."""
        with faults_named(self.shown):
            if self._held is not None:
                yield self._held
                return
            with self._from_pool() as connection:
                yield connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside are kept together, or none.

        Raises:
            StoreReadOnlyError: The database was opened for reading, or takes no writes.
            StoreError: A snapshot is under way.
        """
        if self._in_snapshot:
            raise StoreError(
                "Nothing is written while a snapshot is read.", "Write before or after it."
            )
        if self._held is not None:
            yield
            return
        with self._between(snapshot=False):
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see one state; inside another snapshot, that one's."""
        if self._held is not None:
            yield
            return
        with self._between(snapshot=True):
            self._in_snapshot = True
            self.n_snapshots += 1
            try:
                yield
            finally:
                self._in_snapshot = False

    @contextmanager
    def locked(self, purpose: str, name: str) -> Iterator[Connection]:
        """Hold a lock, on a connection of its own; the server lets go of it when that ends.

        Args:
            purpose: What for, for whoever is refused.
            name: Of the lock.

        Raises:
            StoreBusyError: Another process, or this one, holds it.
        """
        keys = lock_keys(name)
        with ExitStack() as stack:
            with faults_named(self.shown):
                lock = stack.enter_context(self._from_pool())
                if lock.execute(statements.LOCK, keys).fetchone() != (True,):
                    raise _held_by_another(lock, keys, purpose)
            try:
                yield lock
            finally:
                # With its connection the lock went too.
                with suppress(StoreGoneError), faults_named(self.shown):
                    lock.execute(statements.UNLOCK, keys)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    @contextmanager
    def _between(self, *, snapshot: bool) -> Iterator[None]:
        from psycopg import IsolationLevel  # noqa: PLC0415 - as above

        with ExitStack() as stack:
            with faults_named(self.shown):
                connection = stack.enter_context(self._from_pool())
                connection.isolation_level = IsolationLevel.REPEATABLE_READ if snapshot else None
                connection.read_only = True if snapshot else None
                stack.enter_context(connection.transaction())
            self._held = connection
            try:
                yield
            finally:
                self._held = None
            with faults_named(self.shown):
                stack.close()

    @contextmanager
    def _from_pool(self) -> Iterator[Connection]:
        from psycopg_pool import PoolTimeout  # noqa: PLC0415 - as above

        try:
            connection = self._pool.getconn()
        except PoolTimeout:
            with connect(self.address):  # says why
                pass
            # It is back, and the pool may wait long before it tries again.
            self._pool.close()
            self._pool = self._open_pool()
            connection = self._pool.getconn()
        pool = self._pool
        try:
            yield connection
        finally:
            # Where one is broken, the others are tried before they are used.
            self._used_at = 0.0 if connection.broken else time.monotonic()
            pool.putconn(connection)

    def _open_pool(self) -> ConnectionPool:
        from psycopg_pool import ConnectionPool  # noqa: PLC0415 - with the first such store

        return ConnectionPool(
            self.address.conninfo,
            min_size=1,
            max_size=MOST_CONNECTIONS,
            timeout=POOL_S,
            num_workers=1,
            kwargs=_options(),
            configure=self._configure,
            check=self._check,
            open=True,
        )

    def _check(self, connection: Connection) -> None:
        """Ask whether a server is still there, unless it was a moment ago."""
        if time.monotonic() - self._used_at > IDLE_S:
            connection.execute("")

    def _configure(self, connection: Connection) -> None:
        connection.execute(search_path_text(self.names, local=False))
        connection.execute(self._session)


@contextmanager
def connect(address: Address) -> Iterator[Connection]:
    """One connection, outside of any pool; it commits each statement unless told otherwise.

    Raises:
        MissingExtraError: The driver is not installed.
        StoreGoneError: No server answers.
        StoreSetupError: It does not let us in.
    """
    try:
        import psycopg  # noqa: PLC0415 - only where such a store is used
        import psycopg_pool  # noqa: F401, PLC0415 - said now rather than later
    except ImportError as error:
        raise MissingExtraError("An index in PostgreSQL", "postgres") from error
    try:
        connection = psycopg.connect(address.conninfo, **_options())
    except psycopg.Error as error:
        raise named(error, address.shown) from error
    with faults_named(address.shown), connection:
        yield connection


def lock_keys(name: str) -> list[int]:
    """Two 32-bit numbers that name a lock in this database."""
    digest = hashlib.sha256(f"embedwell writing {name}".encode()).digest()
    return [int.from_bytes(digest[at : at + 4], "big", signed=True) for at in (0, 4)]


def _options() -> dict[str, Any]:
    """What all our connections have in common."""
    return {
        "autocommit": True,
        "connect_timeout": CONNECT_S,
        "application_name": f"embedwell {socket.gethostname()}:{os.getpid()}",
        # A server that vanished without a word is noticed within a minute.
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    }


def _held_by_another(lock: Connection, keys: list[int], purpose: str) -> StoreBusyError:
    row = lock.execute(statements.LOCK_HOLDER, keys).fetchone()
    holder = row[0] if row and row[0] else "unknown"
    return StoreBusyError(
        f"Another process ({holder}) is {purpose}.",
        "Wait until it is done, or stop it; what it has stored stays.",
    )
