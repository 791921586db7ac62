"""What Alembic runs for every command: it opens the database, or writes SQL (`--sql`).

Applications with an `alembic.ini` of their own may name this folder in a second section:

    script_location = embedwell.stores.postgres:alembic
    sqlalchemy.url = postgresql://…
"""

from __future__ import annotations

from functools import partial
from typing import Any

import psycopg
import sqlalchemy
from alembic import context

from embedwell.stores.postgres import upgrade
from embedwell.stores.postgres.address import parse_address

_DIALECT = "postgresql+psycopg://"


def _run() -> None:
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


_run()
