"""The connection that moves a column: statements of it, and its table locked for a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from embedwell.core.errors import StoreBusyError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.stores.postgres import column_statements as sql
from embedwell.stores.postgres import statements
from embedwell.stores.postgres.column_parts import Found, filled_in
from embedwell.stores.postgres.database import Row, lock_keys
from embedwell.stores.postgres.faults import faults_named

if TYPE_CHECKING:
    from psycopg import Connection

LOCK_MS = 200
"""How long the application's statements may queue up behind us while we wait for its table."""
PATIENCE_S = 600.0
"""How long we try to get it."""
_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
# In place of what a role may have set for its own, short statements. Where we are killed, the
# server gives a long statement up soon, where it can tell.
_MANNERS = """
SELECT set_config(name, CASE name WHEN 'client_connection_check_interval' THEN '2s'
                                  WHEN 'default_transaction_isolation' THEN 'read committed'
                                  ELSE '0' END, false)
FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'transaction_timeout', 'idle_session_timeout',
               'idle_in_transaction_session_timeout', 'default_transaction_isolation')
   OR name = 'client_connection_check_interval' AND version() ~ 'linux'"""

T = TypeVar("T")


class Session:
    """Runs the statements of `column_statements` for one column.

    Args:
        connection: Owned by whoever made it; it commits each statement.
        found: The column.
        parts: What the templates name.
        shown: The column, for people.
        database: The database, for people.
    """

    def __init__(
        self,
        connection: Connection,
        found: Found,
        parts: Mapping[str, str],
        shown: str,
        database: str,
    ) -> None:
        self.connection = connection
        self.found = found
        self.parts = dict(parts)
        self.shown = shown
        self._database = database
        with faults_named(database):
            connection.execute(_MANNERS)

    def rows(
        self, template: str, parameters: Sequence[Any] | Mapping[str, Any] = (), **more: str
    ) -> list[Row]:
        """Ask with parameters; `more` are names beside those of the column."""
        statement = filled_in(template, self.parts | more, has_parameters=True)
        with faults_named(self._database):
            cursor = self.connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def value(
        self, template: str, parameters: Sequence[Any] | Mapping[str, Any] = (), **more: str
    ) -> Any:  # noqa: ANN401 - whatever the column holds
        """The first column of the first row, or None."""
        rows = self.rows(template, parameters, **more)
        return rows[0][0] if rows else None

    def change(self, template: str, parameters: Mapping[str, Any]) -> int:
        """Write rows; how many."""
        statement = filled_in(template, self.parts, has_parameters=True)
        with faults_named(self._database):
            return self.connection.execute(statement, parameters).rowcount

    def do(self, template: str, **more: str) -> None:
        """Run a statement without parameters."""
        statement = filled_in(template, self.parts | more, has_parameters=False)
        with faults_named(self._database):
            self.connection.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All inside, or nothing."""
        with faults_named(self._database), self.connection.transaction():
            yield

    def do_beside(self, watch: Watch, template: str, **more: str) -> None:
        """Run a statement that takes long; asked to stop, the server gives it up.

        Raises:
            TaskCancelledError: It was asked to.
        """
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.1):
                if watch.cancelled.is_set():
                    self.connection.cancel_safe()
                    return

        looker = threading.Thread(target=look, daemon=True)
        looker.start()
        try:
            self.do(template, **more)
        except StoreBusyError:
            if watch.cancelled.is_set():
                raise TaskCancelledError("index") from None
            raise
        finally:
            over.set()
            looker.join()

    def briefly(self, act: Callable[[], T], watch: Watch) -> tuple[T, float]:
        """Do something while nobody else uses the table, in one transaction.

        Returns:
            What it gave, and for how many seconds the table was locked.

        Raises:
            StoreBusyError: The application does not let go of the table.
        """
        from psycopg import errors  # noqa: PLC0415 - loaded by now

        until, attempt = time.monotonic() + PATIENCE_S, 0
        while True:
            try:
                with self.connection.transaction():
                    self.connection.execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
                    self.connection.execute(filled_in(sql.LOCK, self.parts, has_parameters=False))
                    began = time.perf_counter()
                    done = act()
                return done, time.perf_counter() - began
            except (errors.LockNotAvailable, errors.DeadlockDetected):
                if time.monotonic() > until:
                    raise self._busy() from None
            except errors.Error:
                with faults_named(self._database):
                    raise
            watch.check("switch")
            watch.cancelled.wait(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
            attempt += 1

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other migrations of the column out; the server lets go when the connection ends."""
        keys = lock_keys(f"column {self.found.oid} {self.found.number}")
        if not self.value(sql.TRY_LOCK, keys):
            holder = self.value(statements.LOCK_HOLDER, keys) or "unknown"
            raise StoreBusyError(
                f"Another process ({holder}) is moving {self.shown}.",
                "Wait until it is done, or stop it; what it has written stays.",
            )
        try:
            yield
        finally:
            if not self.connection.closed and not self.connection.broken:
                self.value(sql.UNLOCK, keys)

    def _busy(self) -> StoreBusyError:
        holders = ", ".join(name for (name,) in self.rows(sql.HOLDERS, [self.found.oid]))
        return StoreBusyError(
            f"The table of {self.shown} could not be locked for a moment: it is used without a "
            f"pause by {holders or 'others'}.",
            "End their long transactions and run the same again; nothing that was done is lost.",
        )
