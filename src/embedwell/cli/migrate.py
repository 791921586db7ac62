"""`embedwell migrate`: move an index to another model while it is used."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, cast

import click

from embedwell.cli.options import db_option, json_option

if TYPE_CHECKING:
    from embedwell.app.index import Index
    from embedwell.jobs.migrate import MigrationReport, Plan


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
@db_option
@json_option
def command(
    *,
    to: str | None,
    chunk_tokens: int | None,
    keep_old: bool,
    keep_both: bool,
    back: bool,
    drop: str | None,
    plan_only: bool,
    rate: float,
    yes: bool,
    db: str | None,
    as_json: bool,
) -> None:
    """Move an index to another model, dimension or quantization, online.

    Searches and writes go on. The new vectors are made beside the old ones and checked; then one
    transaction switches. Ctrl-C keeps what was done: the same command goes on from there.
    """
    from embedwell.app.opening import open_index

    if sum((to is not None, chunk_tokens is not None, back, drop is not None)) != 1:
        raise click.UsageError("Give one of --to MODEL, --chunk-tokens, --back and --drop.")
    if keep_old and keep_both:
        raise click.UsageError("--keep-both keeps the main space anyway; leave --keep-old out.")
    with open_index(db=db, create=False) as index:
        if back:
            _tell({"back_to": index.roll_back().model}, as_json=as_json)
        elif drop:
            gone = index.drop_space(cast('Literal["next", "light", "kept"]', drop))
            _tell({"dropped": ", ".join(space.model for space in gone)}, as_json=as_json)
        elif chunk_tokens is not None:
            _rechunk(index, chunk_tokens, as_json=as_json)
        elif to:
            _migrate(
                index,
                to,
                _Choices(keep_old, keep_both, rate, plan_only=plan_only, yes=yes),
                as_json=as_json,
            )


@dataclass(frozen=True)
class _Choices:
    keep_old: bool
    keep_both: bool
    rate: float
    plan_only: bool
    yes: bool


def _migrate(index: Index, to: str, choices: _Choices, *, as_json: bool) -> None:
    from embedwell.cli.output import write_json
    from embedwell.cli.progress import watching

    with watching() as watch:
        plan = index.plan_migration(to, keep_both=choices.keep_both, watch=watch)
    if choices.plan_only and as_json:
        write_json(asdict(plan))
    elif not as_json:
        sys.stdout.write(_told(plan))
    if choices.plan_only or not (choices.yes or as_json or _agreed()):
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
        sys.stdout.write(_reported(report))


def _rechunk(index: Index, chunk_tokens: int, *, as_json: bool) -> None:
    from embedwell.cli.progress import watching

    with watching() as watch:
        index.rechunk(chunk_tokens, watch)
    _tell({"chunks": f"{index.counts().chunks:,}"}, as_json=as_json)


def _agreed() -> bool:
    return not sys.stdin.isatty() or click.confirm("Go on?", default=True)


def _tell(found: dict[str, str], *, as_json: bool) -> None:
    from embedwell.cli.output import write_json

    if as_json:
        write_json(found)
    else:
        sys.stdout.writelines(
            f"{name.replace('_', ' ')} {value}\n" for name, value in found.items()
        )


def _told(found: Plan) -> str:
    from embedwell.app.sizes import format_bytes

    old, new = found.dimensions
    size = format_bytes(found.bytes)
    lines = [
        f"{found.from_model} ({old} dimensions) to {found.to_artifact} ({new})",
        f"{found.n_missing:,} of {found.n_chunks:,} chunks to embed, about {size} on disk",
        f"{found.chunks_per_s:,.0f} chunks a second here: about {_duration(found.seconds)}",
    ]
    if found.n_truncated:
        share = found.n_truncated / found.n_sampled
        lines.append(f"{share:.0%} of the chunks are longer than the new model takes: their end is")
        lines.append("not in their vectors (words in it are still found).")
    return "\n".join(lines) + "\n"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _reported(report: MigrationReport) -> str:
    checked = report.validation
    return (
        f"{report.outcome}: {report.n_embedded:,} chunks embedded in {_duration(report.took_s)}; "
        f"{checked.n_found} of {checked.n_checked} sampled chunks found by their own text, "
        f"{checked.overlap:.0%} of the first ten as before\n"
    )
