"""`embedwell purge`: delete documents by where they come from or what became of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import click

from embedwell.cli.options import db_option, json_option
from embedwell.stores.queue import Purged, Status, Which

if TYPE_CHECKING:
    from embedwell.app.indexes.index import Index
    from embedwell.app.indexes.purging import PurgeReport

    Role = Literal["next", "light", "kept"]


@click.command("purge")
@click.option("--source", default="", metavar="NAME", help="Documents of a source, and itself.")
@click.option("--run", type=click.IntRange(1), metavar="N", help="What a run queued last.")
@click.option(
    "--status",
    "statuses",
    type=click.Choice(get_args(Status)),
    multiple=True,
    help="Files and records of a status, with what is stored of them; repeatable.",
)
@click.option(
    "--space",
    type=click.Choice(["next", "light", "kept"]),
    help="The vectors of a migration begun, of the light space, or of what was kept.",
)
@click.option("--all", "everything", is_flag=True, help="Everything: the index is empty then.")
@click.option("--dry-run", is_flag=True, help="Only say what would go: rows and bytes.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@db_option
@json_option
def command(
    *,
    source: str,
    run: int | None,
    statuses: tuple[Status, ...],
    space: str | None,
    everything: bool,
    dry_run: bool,
    yes: bool,
    db: str | None,
    as_json: bool,
) -> None:
    """Delete documents with their passages, vectors and rows of the queue.

    --source, --run and --status narrow each other down. Nothing is deleted before it was shown
    and agreed to. The space is given back, unless it is little beside the rest. The files
    themselves are not touched: the next `embedwell index` of their folder reads them again.
    """
    from embedwell.app.indexes.opening import open_index
    from embedwell.app.indexes.purging import space_plan
    from embedwell.cli.output import write_json

    which = Which(source, run or 0, statuses)
    _check(which, space, everything=everything)
    role = cast("Role | None", space)
    with open_index(db=db, create=False) as index:
        plan = space_plan(index, role) if role else index.store.queue.purge(which, dry_run=True)
        if dry_run and as_json:
            write_json(asdict(plan))
        if not as_json:
            _show(plan)
        is_nothing = not any(plan.rows.values())
        if dry_run or (is_nothing and not as_json) or not (yes or is_nothing or _agreed()):
            return
        report = _drop(index, role, plan) if role else _purge(index, which)
    if as_json:
        write_json(asdict(report))
    else:
        _tell(report)


def _check(which: Which, space: str | None, *, everything: bool) -> None:
    n = sum((which != Which(), bool(space), everything))
    if not n:
        raise click.UsageError(
            "Say what to delete: --source NAME, --run N, --status S, --space ROLE or --all."
        )
    if n > 1:
        raise click.UsageError("--all and --space stand alone.")


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("There is nobody to ask: add --yes to delete this.")
    return click.confirm("Delete this?", default=False)


def _purge(index: Index, which: Which) -> PurgeReport:
    from embedwell.app.indexes.purging import purge

    return purge(index, which)


def _drop(index: Index, role: Role, plan: Purged) -> PurgeReport:
    from embedwell.app.indexes.purging import PurgeReport

    before = index.counts().size_bytes
    index.drop_space(role)
    given_back = max(before - index.counts().size_bytes, 0)
    return PurgeReport(plan.rows, plan.n_bytes, given_back)


def _show(plan: Purged) -> None:
    from embedwell.app.config.sizes import format_bytes
    from embedwell.cli.output import write_table

    if rows := _rows(plan.rows):
        write_table(("rows", "table"), [(f"{n:,}", name) for name, n in rows.items()])
        about = f", about {format_bytes(plan.n_bytes)}" if plan.n_bytes else ""
        sys.stdout.write(f"{sum(rows.values()):,} rows{about}\n")
    else:
        sys.stdout.write("there is nothing of that\n")


def _rows(rows: Mapping[str, Any]) -> dict[str, int]:
    return {name: n for name, n in rows.items() if n}


def _tell(report: PurgeReport) -> None:
    from embedwell.app.config.sizes import format_bytes

    sys.stdout.write("deleted; ")
    if report.kept:
        sys.stdout.write(f"the space was not given back. {report.kept}\n")
    else:
        sys.stdout.write(f"{format_bytes(report.given_back_bytes)} given back\n")
