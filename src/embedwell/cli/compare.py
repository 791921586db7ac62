"""`embedwell compare`: does the model still compute what the index holds?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from embedwell.cli.options import db_option, json_option, model_options, threads_option
from embedwell.cli.output import write_json, write_table

if TYPE_CHECKING:
    from embedwell.jobs.compare import Comparison


@click.command("compare")
@click.argument("query", default="")
@db_option
@model_options
@threads_option
@json_option
def command(
    *,
    query: str,
    db: str | None,
    model: str | None,
    quantization: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Embed QUERY and a sample of the index's passages anew, and compare with what is stored.

    For when results look wrong: it says who wrote the vectors, how far what is computed here is
    from them, and whether that matters. Exits with 1 where something is wrong.
    """
    from embedwell.app.indexes.comparing import compare_all
    from embedwell.app.indexes.opening import open_index
    from embedwell.cli.progress import watching
    from embedwell.jobs.compare import as_json as comparison_as_json

    with (
        watching() as watch,
        open_index(
            db=db, model=model, quantization=quantization, threads=threads, create=False
        ) as index,
    ):
        found, code = compare_all(index, query, watch)
    if as_json:
        write_json(comparison_as_json(found, code))
    else:
        _tell(found)
        if code:
            sys.stdout.write(f"\nCode space ({code.stored.space.model}):\n")
            _tell(code)
    if not found.ok or (code and not code.ok):
        sys.exit(1)


def _tell(found: Comparison) -> None:

    health = found.health
    rows = [
        ("written by", str(found.written_by or "unknown")),
        ("asked by", str(found.build or "nothing usable")),
        ("vectors", f"{health.n_vectors:,} looked at, {health.n_null:,} missing"),
        ("", f"{health.n_zero:,} zero, {health.n_nan:,} NaN or of another length"),
    ]
    if found.drift is not None:
        drift = found.drift
        rows.append(("drift", f"{drift.mean:.4f} on average, {drift.worst:.4f} at worst"))
    if found.again is not None:
        again = found.again
        told = f"{again.n} passages: {again.mean:.2g} on average, {again.worst:.2g} at worst"
        rows.append(("embedded again", told))
    if (near := found.distances) is not None:
        under = ", ".join(f"{n:,} under {at}" for at, n in near.under.items())
        told = f"{near.least:.3f} to {near.most:.3f}, {near.average:.3f} on average"
        rows += [("distances", told), ("", under)]
    write_table(["", ""], rows)
    sys.stdout.write(f"\n{found.verdict}\n")
