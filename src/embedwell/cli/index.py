"""`embedwell index`: make an index, or bring it up to date."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedwell.cli.options import db_option, json_option, model_options, threads_option

if TYPE_CHECKING:
    from embedwell.jobs.index import IndexReport

# A person wants to see the first few; --json has them all.
_SHOWN = 10


@click.command("index")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@db_option
@model_options
@threads_option
@json_option
def command(
    *,
    path: Path,
    db: str | None,
    model: str | None,
    quantization: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Index the folder PATH, or bring its index up to date.

    Only new and changed files are read, only new passages are embedded, and removed files leave.
    Ctrl-C keeps what was done; the next run goes on from there.
    """
    from embedwell.app.opening import open_index
    from embedwell.app.place import shown_target
    from embedwell.cli.output import write_json
    from embedwell.cli.progress import watching

    with (
        watching() as watch,
        open_index(path, db=db, model=model, quantization=quantization, threads=threads) as index,
    ):
        if index.chosen is not None:
            sys.stderr.write(f"{index.chosen.reason}\n")
        watch.follow(index.store.queue)
        report = index.add_folder(path, watch)
        counts = index.counts()
    if as_json:
        write_json(asdict(report) | {"db": shown_target(index.target), "total": asdict(counts)})
    else:
        _tell(report)
        place = shown_target(index.target)
        sys.stdout.write(f"{place}: {counts.documents:,} documents, {counts.chunks:,} chunks\n")
    if report.failed:
        sys.exit(3)


def _tell(report: IndexReport) -> None:
    sys.stdout.write(
        f"{report.n_added:,} added, {report.n_updated:,} updated, {report.n_removed:,} removed, "
        f"{report.n_unchanged:,} unchanged in {report.took_s:.1f} s; "
        f"{report.n_embedded:,} of {report.n_chunks:,} chunks embedded\n"
    )
    lists = {"left out": report.skipped, "failed": report.failed, "in part": report.notes}
    for name, things in lists.items():
        if not things:
            continue
        sys.stderr.write(f"{len(things):,} {name}:\n")
        for thing in things[:_SHOWN]:
            sys.stderr.write(f"  {thing.key}: {thing.reason}\n")
        if len(things) > _SHOWN:
            sys.stderr.write(f"  … and {len(things) - _SHOWN:,} more; --json lists them all\n")
    if report.n_truncated:
        sys.stderr.write(f"{report.n_truncated:,} chunks were longer than the model takes\n")
