"""`embedwell queue`: what failed or was given up, and trying it again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from embedwell.cli.options import db_option, json_option
from embedwell.stores.queue import Status, Which

if TYPE_CHECKING:
    from embedwell.stores.queue import Entry

F = TypeVar("F", bound=Callable[..., Any])
_TROUBLE: tuple[Status, ...] = ("failed", "dead")


def _which(command: F) -> F:
    """`--source` and `--run`."""
    command = click.option("--run", type=click.IntRange(1), metavar="N", help="Only of a run.")(
        command
    )
    return click.option("--source", default="", metavar="NAME", help="Only of a source.")(command)


@click.group("queue")
def command() -> None:
    """List what is queued, failed or given up, and try it again."""


@command.command("list")
@click.option(
    "--status",
    "statuses",
    type=click.Choice(get_args(Status)),
    multiple=True,
    help="Which; `failed` and `dead` by default; repeatable.",
)
@_which
@click.option("--limit", type=click.IntRange(1), default=50, help="Most rows; 50 by default.")
@db_option
@json_option
def list_(
    *,
    statuses: tuple[Status, ...],
    source: str,
    run: int | None,
    limit: int,
    db: str | None,
    as_json: bool,
) -> None:
    """List files and records with what became of them, and why."""
    from embedwell.app.indexes.opening import open_index
    from embedwell.app.indexes.purging import entries
    from embedwell.cli.output import write_json, write_table

    which = Which(source, run or 0, statuses or _TROUBLE)
    with open_index(db=db, create=False) as index:
        found = entries(index, which, limit + 1)
    if as_json:
        write_json([_as_json(entry) for entry in found[:limit]])
        return
    if not found:
        sys.stdout.write("there is none\n")
        return
    rows = [(entry.status, entry.source, entry.item.key, entry.error) for entry in found[:limit]]
    write_table(("status", "source", "what", "why"), rows)
    if len(found) > limit:
        sys.stdout.write(f"there are more than {limit}: `--limit N`\n")


@command.command("retry")
@click.option(
    "--status",
    "statuses",
    type=click.Choice(_TROUBLE),
    multiple=True,
    help="Which; both by default.",
)
@_which
@db_option
@json_option
def retry(
    *,
    statuses: tuple[Status, ...],
    source: str,
    run: int | None,
    db: str | None,
    as_json: bool,
) -> None:
    """Queue what failed or was given up anew, after what was wrong was mended."""
    from embedwell.app.indexes import purging
    from embedwell.app.indexes.opening import open_index
    from embedwell.cli.output import write_json

    which = Which(source, run or 0, statuses or _TROUBLE)
    with open_index(db=db, create=False) as index:
        n = purging.retry(index, which)
        open_run = index.store.queue.run()
    if as_json:
        write_json({"queued": n})
        return
    sys.stdout.write(f"{n:,} queued anew\n" if n else "there is none\n")
    if n and open_run is not None and open_run.status == "stopped":
        sys.stdout.write("the run is stopped; go on by `embedwell index --resume`\n")
    elif n:
        sys.stdout.write("read them by `embedwell index` or `embedwell work`\n")


def _as_json(entry: Entry) -> dict[str, Any]:
    found = asdict(entry)
    item = found.pop("item")
    return {name: item[name] for name in ("key", "format", "size_bytes")} | found
