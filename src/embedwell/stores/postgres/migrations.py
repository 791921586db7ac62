"""The schema moved by Alembic: `embedwell db`. Plain use of the store never comes here."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from embedwell.core.errors import MissingExtraError, StoreError
from embedwell.stores.migrations import Adoption, Revision, State
from embedwell.stores.postgres import upgrade
from embedwell.stores.postgres.database import connect
from embedwell.stores.postgres.embedded import address_of
from embedwell.stores.postgres.faults import faults_named, named
from embedwell.stores.postgres.setup import check_server
from embedwell.stores.postgres.survey import survey

if TYPE_CHECKING:
    import psycopg
    from alembic.config import Config

_FOLDER = "embedwell.stores.postgres:alembic"
_one_at_a_time = Lock()  # in a process: Alembic keeps the command that is under way in globals


class PostgresMigrations:
    """The schema of one PostgreSQL database; see `stores.migrations.Migrations`.

    Args:
        target: The address of the database.

    Raises:
        SettingsError: The address is not understood.
        MissingExtraError: Alembic, SQLAlchemy or the driver is not installed.
    """

    def __init__(self, target: str) -> None:
        try:
            import alembic  # noqa: F401, PLC0415 - the extra `migrations`
            import psycopg  # noqa: F401, PLC0415
            import sqlalchemy  # noqa: F401, PLC0415
        except ImportError as error:
            raise MissingExtraError("`embedwell db`", "migrations") from error
        self._address = address_of(target, make=True)

    def state(self) -> State:
        """Where the database stands."""
        with connect(self._address) as connection:
            return self._state(upgrade.current(connection, self._address.names))

    def history(self) -> Sequence[Revision]:
        """All revisions, the oldest first; no server is asked."""
        from alembic.script import ScriptDirectory  # noqa: PLC0415 - the extra `migrations`

        scripts = ScriptDirectory.from_config(self._config(io.StringIO())).walk_revisions()
        return [
            Revision(one.revision, str(one.down_revision or "") or None, one.doc.rstrip("."))
            for one in reversed([*scripts])
        ]

    def upgrade(self, revision: str) -> State:
        """Go up to a revision, or to `head`."""
        from alembic import command  # noqa: PLC0415 - the extra `migrations`

        with connect(self._address) as connection:
            upgrade.current(connection, self._address.names)
            if revision != upgrade.BASELINE:
                check_server(connection, self._address)
        with self._faults_named():
            command.upgrade(self._config(io.StringIO()), revision)
        return self.state()

    def downgrade(self, revision: str) -> State:
        """Go back to a revision."""
        from alembic import command  # noqa: PLC0415 - the extra `migrations`

        with self._faults_named():
            command.downgrade(self._config(io.StringIO()), revision)
        return self.state()

    def sql(self, revision: str, *, down: bool = False) -> str:
        """The SQL that would be run to a revision, or between two."""
        from alembic import command  # noqa: PLC0415 - the extra `migrations`

        written = io.StringIO()
        with self._faults_named():
            if down:
                way = revision if ":" in revision else f"{upgrade.HEAD}:{revision}"
                command.downgrade(self._config(written), way, sql=True)
            else:
                command.upgrade(self._config(written), revision, sql=True)
        return written.getvalue()

    def survey(self) -> Adoption:
        """What is there to adopt; changes nothing."""
        names = self._address.names
        with connect(self._address) as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            state = self._state(upgrade.current(connection, names))
            if state.revision is not None:
                raise _adopted(state)
            tables, columns = survey(connection, names)
        steps = (
            f"Make the schema '{names.schema}' if it is not there.",
            f"Make the table '{names.version_table}' in it, and write '{upgrade.BASELINE}' there.",
            "Change nothing else: no table, row or index of yours is touched or locked.",
        )
        return Adoption(state, tables, columns, steps)

    def adopt(self) -> State:
        """Give a database with tables of its own the baseline revision."""
        state = self.state()
        if state.revision is not None:
            raise _adopted(state)
        return self.upgrade(upgrade.BASELINE)

    def _state(self, revision: str | None) -> State:
        return State(self._address.shown, self._address.names.schema, revision, upgrade.HEAD)

    def _config(self, written: io.StringIO) -> Config:
        """Alembic's configuration, without a file; what it prints goes to `written`."""
        from alembic.config import Config  # noqa: PLC0415 - the extra `migrations`

        config = Config(output_buffer=written, stdout=written)
        config.set_main_option("script_location", _FOLDER)
        config.attributes["address"] = self._address
        return config

    @contextmanager
    def _faults_named(self) -> Iterator[None]:
        """Let what Alembic, SQLAlchemy and the driver raise come out as `StoreError`."""
        import psycopg  # noqa: PLC0415 - the extra `migrations`
        from alembic.util import CommandError  # noqa: PLC0415
        from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

        try:
            with _one_at_a_time, faults_named(self._address.shown):
                yield
        except DBAPIError as error:
            if isinstance(error.orig, psycopg.errors.DependentObjectsStillExist):
                raise _depended_on(error.orig, self._address.shown) from error.orig
            if isinstance(error.orig, psycopg.errors.RaiseException):  # by our own SQL
                raise _refused(error.orig, self._address.shown) from error.orig
            if isinstance(error.orig, psycopg.Error):
                raise named(error.orig, self._address.shown) from error.orig
            raise
        except CommandError as error:
            raise StoreError(
                f"Alembic does not do this: {error}.", "`embedwell db history` lists the revisions."
            ) from error


def _depended_on(error: psycopg.Error, shown: str) -> StoreError:
    what = "; ".join((error.diag.message_detail or str(error)).splitlines())
    return StoreError(
        f"Not ours, but made on top of what would be dropped in {shown}: {what}.",
        "Drop it first; nothing was changed.",
    )


def _refused(error: psycopg.Error, shown: str) -> StoreError:
    return StoreError(
        f"{shown} stays as it is: {error.diag.message_primary}.", error.diag.message_hint or ""
    )


def _adopted(state: State) -> StoreError:
    if state.revision == upgrade.BASELINE:
        return StoreError(
            f"{state.database} is adopted already: its schema '{state.schema}' is at revision "
            f"{state.revision}.",
            "Nothing needs to be done; `embedwell db upgrade` makes embedwell's own tables.",
        )
    return StoreError(
        f"{state.database} has embedwell's tables already: its schema '{state.schema}' is at "
        f"revision {state.revision}.",
        "Nothing needs to be done; tables beside that schema are never touched.",
    )
