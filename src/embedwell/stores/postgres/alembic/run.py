"""How Alembic's commands and our revisions run; `env.py` and `versions/` only call this."""

from __future__ import annotations

from functools import partial
from typing import Any

import psycopg
import sqlalchemy
from alembic import context, op

from embedwell.stores.postgres import upgrade
from embedwell.stores.postgres.address import parse_address

_DIALECT = "postgresql+psycopg://"


def run_command() -> None:
    """Open the database for the command that is under way, or write SQL (`--sql`)."""
    url = context.config.get_main_option("sqlalchemy.url")
    address = context.config.attributes.get("address") or (parse_address(url) if url else None)
    names = address.names if address else upgrade.Names()
    context.config.attributes["names"] = names  # for the revisions
    options: dict[str, Any] = {
        "version_table": names.version_table,
        "version_table_schema": names.schema,
        "include_schemas": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == names.schema,
    }
    if context.is_offline_mode():
        _write_sql(names, options)
    else:
        _migrate(address.conninfo if address else "", names, options)


def run_revision(revision: str, *, down: bool = False) -> None:
    """Run the SQL of a revision, or write it where only SQL is asked for.

    The text goes to the driver as it is: SQLAlchemy would take `:name` and `%` in it for
    parameters.
    """
    text = upgrade.script(revision, context.config.attributes["names"], down=down)
    if context.is_offline_mode():
        op.get_context().impl.static_output(text)
    else:
        op.get_bind().exec_driver_sql(text, execution_options={"no_parameters": True})


def _write_sql(names: upgrade.Names, options: dict[str, Any]) -> None:
    context.configure(url=_DIALECT, literal_binds=True, **options)
    with context.begin_transaction():
        context.get_context().impl.static_output(upgrade.lock_text(names))
        context.get_context().impl.static_output(upgrade.schema_text(names))
        context.run_migrations()


def _migrate(conninfo: str, names: upgrade.Names, options: dict[str, Any]) -> None:
    engine = sqlalchemy.create_engine(
        _DIALECT, creator=partial(psycopg.connect, conninfo), poolclass=sqlalchemy.NullPool
    )
    with engine.connect() as connection:
        context.configure(connection=connection, **options)
        with context.begin_transaction():
            driver: Any = connection.connection.driver_connection
            if context.get_context().opts.get("dont_mutate"):  # a command that only looks
                upgrade.current(driver, names)
            else:
                upgrade.prepare(driver, names)
            context.run_migrations()
