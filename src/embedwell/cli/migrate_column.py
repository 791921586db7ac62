"""`embedwell migrate --table`: move a column of an application's own table."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import click

if TYPE_CHECKING:
    from embedwell.app.adopted.column import AdoptedColumn
    from embedwell.jobs.column import ColumnPlan, ColumnReport


@dataclass(frozen=True)
class ColumnChoices:
    """What the command line said.

    Attributes:
        table: Of the application.
        column: Its column with the vectors.
        text: Those with the texts, separated by commas; empty if not given.
        key: Those that tell rows apart; empty if not given.
        db: Address of the database.
        to: The model; None if it is not migrated.
        back: Whether to go back.
        drop: What is dropped; None if nothing is.
        keep_old: Whether the old vectors stay.
        rate: Most rows in a second.
        plan_only: Whether to look only.
        yes: Whether not to ask.
        as_json: Whether programs read it.
    """

    table: str
    column: str
    text: str
    key: str
    db: str | None
    to: str | None
    back: bool
    drop: str | None
    keep_old: bool
    rate: float
    plan_only: bool
    yes: bool
    as_json: bool


def choices_of(options: Mapping[str, Any]) -> ColumnChoices | None:
    """What the options of `embedwell migrate` say of a table; None where they are of an index.

    Raises:
        click.UsageError: Some do not go together.
    """
    mine = ("table", "column", "text", "key")
    if not any(options[name] for name in mine):
        return None
    if not options["table"] or not options["column"]:
        raise click.UsageError("--table and --column belong together.")
    of_index = ("keep_both", "code", "hybrid", "no_code")
    is_of_index = options["chunk_tokens"] is not None or options["drop"] == "light"
    if is_of_index or any(options[name] for name in of_index):
        raise click.UsageError(
            "--chunk-tokens, --code, --no-code, --keep-both and --drop light are for an index, "
            "not for --table."
        )
    if options["to"] and not options["text"]:
        raise click.UsageError("Name the column with the texts: --text COLUMN[,COLUMN…].")
    names = (*mine, "db", "to", "back", "drop", "keep_old", "rate", "plan_only", "yes", "as_json")
    return ColumnChoices(**{name: options[name] for name in names})


def run(choices: ColumnChoices) -> None:
    """Do what the command line said."""
    from embedwell.app.adopted.column import adopt_column
    from embedwell.cli.output import tell
    from embedwell.cli.progress import watching
    from embedwell.stores.columns import split_names

    with adopt_column(
        choices.table,
        choices.column,
        text=split_names(choices.text),
        key=split_names(choices.key),
        db=choices.db,
    ) as column:
        if choices.to:
            _migrate(column, choices.to, choices)
            return
        with watching() as watch:
            if choices.back:
                column.roll_back(watch)
                done = {"back_to": "the vectors that were kept"}
            else:
                column.drop(cast('Literal["next", "kept"]', choices.drop), watch)
                done = {"dropped": str(choices.drop)}
    tell(done, as_json=choices.as_json)


def _migrate(column: AdoptedColumn, to: str, choices: ColumnChoices) -> None:
    from embedwell.cli.output import agreed, write_json
    from embedwell.cli.progress import watching

    with watching() as watch:
        plan = column.plan(to, watch)
    if choices.plan_only and choices.as_json:
        write_json(asdict(plan))
    elif not choices.as_json:
        sys.stdout.write(_told(plan))
    if choices.plan_only or not (choices.yes or choices.as_json or agreed()):
        return
    with watching() as watch:
        report = column.migrate(to, keep_old=choices.keep_old, rows_per_s=choices.rate, watch=watch)
    if choices.as_json:
        write_json(asdict(report))
    else:
        sys.stdout.write(_reported(report, keep_old=choices.keep_old))


def _told(plan: ColumnPlan) -> str:
    from embedwell.app.config.sizes import format_bytes
    from embedwell.cli.output import duration

    facts = plan.facts
    before = f"{facts.kind}({facts.dimensions})" if facts.dimensions else facts.kind
    made_by = f" of {plan.from_model}" if plan.from_model else ""
    after, size = f"{facts.kind}({plan.dimensions})", format_bytes(plan.bytes)
    lines = [
        f"{facts.table}.{facts.column}: {before}{made_by} to {after} of {plan.to_artifact}",
        f"{facts.n_missing:,} of {facts.n_rows:,} rows to embed, about {size} more on disk",
        f"{plan.rows_per_s:,.0f} rows a second here: about {duration(plan.seconds)}",
    ]
    lines += [f"built again: {index}" for index in facts.indexes]
    lines += _warnings(plan)
    return "\n".join(lines) + "\n"


def _warnings(plan: ColumnPlan) -> list[str]:
    facts, found = plan.facts, []
    blank = facts.n_rows - facts.n_with_text
    if blank and facts.is_required:
        found.append(f"{blank:,} rows have no text: the column is NOT NULL, so they get the vector")
        found.append("of an empty text.")
    elif blank:
        lose = f"; {facts.n_losing:,} of them have a vector now" if facts.n_losing else ""
        found.append(f"{blank:,} rows have no text and will have no vector{lose}.")
    if facts.triggers:
        names = ", ".join(facts.triggers)
        found.append(f"Triggers of yours run once for each row that gets its vector: {names}.")
    if plan.n_truncated:
        share = plan.n_truncated / plan.n_sampled
        found.append(f"{share:.0%} of the texts are longer than the new model takes.")
    found.append("From the switch on the application must ask and write with the new model.")
    return found


def _reported(report: ColumnReport, *, keep_old: bool) -> str:
    from embedwell.cli.output import duration

    told = (
        f"switched: {report.n_embedded:,} rows embedded in {duration(report.took_s)}; "
        f"{report.n_found} of {report.n_checked} sampled rows found by their own text; the table "
        f"was locked for {1000 * report.locked_s:.0f} ms\n"
    )
    if keep_old:
        return (
            f"{told}The old vectors are kept: `--back` exchanges them, `--drop kept` drops them.\n"
        )
    return f"{told}The old vectors' bytes come back as rows are rewritten, or by VACUUM FULL.\n"
