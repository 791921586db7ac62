"""`embedwell migrate`: move an index to another model while it is used."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from embedwell.cli.options import db_option, json_option

if TYPE_CHECKING:
    from embedwell.app.indexes.index import Index


@click.command("migrate")
@click.option("--to", "to", metavar="MODEL[@QUANTIZATION]", help="The model to move to.")
@click.option(
    "--chunk-tokens", type=click.IntRange(min=0), help="Cut all documents anew; 0 fits the model."
)
@click.option("--keep-old", is_flag=True, help="Keep the old vectors, so that `--back` is instant.")
@click.option(
    "--keep-both",
    is_flag=True,
    help="Do not switch: keep the new space beside, searched when the main model does not fit.",
)
@click.option(
    "--code",
    metavar="MODEL[@QUANTIZATION]",
    help="Give code a model and a space of its own, beside the main one.",
)
@click.option("--hybrid", is_flag=True, help="With --code: keep code in the main space too.")
@click.option("--no-code", is_flag=True, help="Go back to one space for text and code.")
@click.option("--back", is_flag=True, help="Go back to the space that was kept.")
@click.option(
    "--drop",
    type=click.Choice(["next", "light", "kept"]),
    help="Drop the vectors of a migration begun, of the light space, or of what was kept.",
)
@click.option("--plan", "plan_only", is_flag=True, help="Only say what it would take.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Most chunks embedded in a second; 0, the default, for as many as can be.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--table",
    metavar="[SCHEMA.]TABLE",
    help="Move a column of vectors in a PostgreSQL table of an application instead.",
)
@click.option("--column", metavar="COLUMN", help="With --table: the column with the vectors.")
@click.option(
    "--text", metavar="COLUMN[,COLUMN…]", default="", help="With --table: what is embedded."
)
@click.option(
    "--key",
    metavar="COLUMN[,COLUMN…]",
    default="",
    help="With --table: what tells rows apart; by default the primary key.",
)
@db_option
@json_option
def command(
    *,
    to: str | None,
    chunk_tokens: int | None,
    keep_old: bool,
    keep_both: bool,
    code: str | None,
    hybrid: bool,
    no_code: bool,
    back: bool,
    drop: str | None,
    plan_only: bool,
    rate: float,
    yes: bool,
    table: str | None,
    column: str | None,
    text: str,
    key: str,
    db: str | None,
    as_json: bool,
) -> None:
    """Move an index to another model, dimension or quantization, online.

    Searches and writes go on. The new vectors are made beside the old ones and checked; then one
    transaction switches. Ctrl-C keeps what was done: the same command goes on from there.
    """
    from embedwell.app.indexes.opening import open_index
    from embedwell.cli import migrate_column
    from embedwell.cli.output import tell

    del no_code, table, column, text, key  # read from `given`
    given = click.get_current_context().params
    _check(given)
    if of_column := migrate_column.choices_of(given):
        migrate_column.run(of_column)
        return
    with open_index(db=db, create=False) as index:
        if back:
            tell({"back_to": index.roll_back().model}, as_json=as_json)
        elif drop:
            gone = index.drop_space(cast('Literal["next", "light", "kept"]', drop))
            tell({"dropped": ", ".join(space.model for space in gone)}, as_json=as_json)
        elif chunk_tokens is not None:
            _rechunk(index, chunk_tokens, as_json=as_json)
        else:
            choices = _Choices(keep_old, keep_both, rate, plan_only=plan_only, yes=yes)
            if to is not None:
                _migrate(index, to, choices, as_json=as_json)
            else:
                _settle(index, code, choices, hybrid=hybrid, as_json=as_json)


def _check(given: Mapping[str, Any]) -> None:
    """Refuse options that do not go together."""
    is_named = [given[name] is not None for name in ("to", "chunk_tokens", "drop", "code")]
    if sum((*is_named, given["back"], given["no_code"])) != 1:
        raise click.UsageError(
            "Give one of --to MODEL, --code MODEL, --no-code, --chunk-tokens, --back and --drop."
        )
    if given["keep_old"] and given["keep_both"]:
        raise click.UsageError("--keep-both keeps the main space anyway; leave --keep-old out.")
    if given["keep_both"] and given["to"] is None:
        raise click.UsageError("--keep-both goes with --to MODEL.")
    if given["keep_old"] and given["to"] is None and given["code"] is None:
        raise click.UsageError("--keep-old goes with --to MODEL or --code MODEL.")
    if given["hybrid"] and given["code"] is None:
        raise click.UsageError("--hybrid goes with --code MODEL.")


@dataclass(frozen=True)
class _Choices:
    keep_old: bool
    keep_both: bool
    rate: float
    plan_only: bool
    yes: bool


def _migrate(index: Index, to: str, choices: _Choices, *, as_json: bool) -> None:
    from embedwell.cli.migration_told import reported, told
    from embedwell.cli.output import agreed, write_json
    from embedwell.cli.progress import watching

    with watching() as watch:
        plan = index.plan_migration(to, keep_both=choices.keep_both, watch=watch)
    if choices.plan_only and as_json:
        write_json(asdict(plan))
    elif not as_json:
        sys.stdout.write(told(plan))
    if choices.plan_only or not (choices.yes or as_json or agreed()):
        return
    with watching() as watch:
        report = index.migrate(
            to,
            keep_old=choices.keep_old,
            keep_both=choices.keep_both,
            chunks_per_s=choices.rate,
            watch=watch,
        )
    if as_json:
        write_json(asdict(report))
    else:
        sys.stdout.write(reported(report))


def _settle(
    index: Index, code: str | None, choices: _Choices, *, hybrid: bool, as_json: bool
) -> None:
    from embedwell.cli.migration_told import reported_pair, told_pair
    from embedwell.cli.output import agreed, write_json
    from embedwell.cli.progress import watching

    with watching() as watch:
        plan = index.pairing.plan(code, hybrid=hybrid, watch=watch)
    if choices.plan_only and as_json:
        write_json(asdict(plan))
    elif not as_json:
        sys.stdout.write(told_pair(plan))
    is_over = choices.plan_only or (plan.is_done and not as_json)
    if is_over or not (choices.yes or as_json or agreed()):
        return
    with watching() as watch:
        report = index.pairing.settle(
            code,
            hybrid=hybrid,
            keep_old=choices.keep_old,
            chunks_per_s=choices.rate,
            watch=watch,
        )
    if as_json:
        write_json(asdict(report))
    else:
        sys.stdout.write(reported_pair(report))


def _rechunk(index: Index, chunk_tokens: int, *, as_json: bool) -> None:
    from embedwell.cli.output import tell
    from embedwell.cli.progress import watching

    with watching() as watch:
        index.rechunk(chunk_tokens, watch)
    tell({"chunks": f"{index.counts().chunks:,}"}, as_json=as_json)
