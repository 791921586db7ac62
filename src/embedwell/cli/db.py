"""`embedwell db`: the schema in a database server, moved by Alembic."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from embedwell.cli.options import json_option

if TYPE_CHECKING:
    from embedwell.stores.migrations import Adoption, State

_db = click.option(
    "--db",
    metavar="ADDRESS",
    help="Address of the server, such as postgresql://user@host/database; by default "
    "EMBEDWELL_DATABASE_URL, then DATABASE_URL.",
)
_sql = click.option("--sql", "as_sql", is_flag=True, help="Write the SQL instead of running it.")


@click.group("db")
def command() -> None:
    """Upgrade the schema in PostgreSQL, or adopt a database with tables of its own.

    Needs the extra 'migrations'. Indexes are opened and made without it.
    """


@command.command("upgrade")
@click.argument("revision", default="head")
@_db
@_sql
@json_option
def upgrade(*, revision: str, db: str | None, as_sql: bool, as_json: bool) -> None:
    """Go up to REVISION, the newest if left out.

    With --sql from nothing, or from where REVISION begins: 001:head.
    """
    from embedwell.app.config.database import migrations_for

    migrations = migrations_for(db, offline=as_sql)
    if as_sql:
        _write_sql(migrations.sql(revision), as_json=as_json)
    else:
        _write_state(migrations.upgrade(revision), as_json=as_json)


@command.command("downgrade")
@click.argument("revision")
@_db
@_sql
@click.option("--yes", is_flag=True, help="Do it without asking.")
@json_option
def downgrade(*, revision: str, db: str | None, as_sql: bool, yes: bool, as_json: bool) -> None:
    """Go back to REVISION: what later ones made is dropped, with all that is in it.

    It asks first. 001 leaves the database as it was adopted.
    """
    from embedwell.app.config.database import migrations_for

    migrations = migrations_for(db, offline=as_sql)
    if as_sql:
        _write_sql(migrations.sql(revision, down=True), as_json=as_json)
        return
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("There is nobody to ask: add --yes to drop what is in it.")
        _write_state(migrations.state(), as_json=False)
        click.confirm(f"Go back to {revision}, and drop what came after it?", abort=True)
    _write_state(migrations.downgrade(revision), as_json=as_json)


@command.command("current")
@_db
@json_option
def current(*, db: str | None, as_json: bool) -> None:
    """Show the revision that the database is at."""
    from embedwell.app.config.database import migrations_for

    _write_state(migrations_for(db).state(), as_json=as_json)


@command.command("history")
@_db
@json_option
def history(*, db: str | None, as_json: bool) -> None:
    """List all revisions, the oldest first; no server is asked."""
    from embedwell.app.config.database import migrations_for
    from embedwell.cli.output import write_json, write_table

    revisions = migrations_for(db, offline=True).history()
    if as_json:
        write_json([asdict(one) for one in revisions])
    else:
        write_table(
            ["revision", "follows", "what it brings"],
            [(one.name, one.follows or "-", one.summary) for one in revisions],
        )


@command.command("adopt")
@_db
@click.option("--yes", is_flag=True, help="Do it without asking.")
@json_option
def adopt(*, db: str | None, yes: bool, as_json: bool) -> None:
    """Give a database with tables of its own the baseline revision, and touch none of them.

    Shows what was found and what will be done, then asks. --json alone only shows it.
    """
    from embedwell.app.config.database import migrations_for
    from embedwell.cli.output import write_json

    migrations = migrations_for(db)
    found = migrations.survey()
    if as_json:
        state = migrations.adopt() if yes else found.state
        write_json(asdict(found) | {"state": asdict(state), "adopted": yes})
        return
    _show(found)
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("Nothing was changed. Add --yes to do it.")
    if yes or click.confirm("Do it?", abort=True):
        _write_state(migrations.adopt(), as_json=False)


def _show(found: Adoption) -> None:
    from embedwell.cli.output import write_table

    state = found.state
    sys.stdout.write(f"{state.database} has {found.tables} tables of its own.\n")
    if found.columns:
        write_table(
            ["table", "column", "type", "rows", "indexes"],
            [
                (
                    one.table,
                    one.column,
                    one.type,
                    _rows(one.rows, exact=one.rows_exact),
                    "; ".join(one.indexes) or "-",
                )
                for one in found.columns
            ],
        )
    else:
        sys.stdout.write("No column of them holds vectors.\n")
    for step in found.steps:
        sys.stdout.write(f"- {step}\n")


def _rows(rows: int | None, *, exact: bool) -> str:
    if rows is None:
        return "not counted"
    return f"{rows:,}" if exact else f"about {rows:,}"


def _write_sql(text: str, *, as_json: bool) -> None:
    from embedwell.cli.output import write_json

    if as_json:
        write_json({"sql": text})
    else:
        sys.stdout.write(text)


def _write_state(state: State, *, as_json: bool) -> None:
    from embedwell.cli.output import write_json

    if as_json:
        write_json(asdict(state))
        return
    newest = "" if state.revision == state.newest else f"; the newest is {state.newest}"
    revision = state.revision or "no revision: nothing of embedwell's is there"
    sys.stdout.write(f"{state.database}, schema {state.schema}: {revision}{newest}\n")
