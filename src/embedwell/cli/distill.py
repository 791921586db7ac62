"""`embedwell models distill`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from embedwell.cli.options import json_option


@click.command("distill")
@click.argument("model", required=False)
@click.option(
    "--dimensions",
    type=click.IntRange(min=1),
    help="Length of its vectors; 256, or the model's where that is shorter, if left out.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="New or empty folder for its files; one in the cache where left out.",
)
@json_option
def distill(
    *, model: str | None, dimensions: int | None, output: Path | None, as_json: bool
) -> None:
    """Make a static model from MODEL: the least memory, the highest speed, its own space.

    It is a table of token vectors, named `file:FOLDER` from then on.
    """
    from embedwell.app.config.configuration import load
    from embedwell.app.config.sizes import format_bytes
    from embedwell.app.models.distill import distill_model
    from embedwell.cli.output import write_json
    from embedwell.cli.progress import watching

    settings = load({"model": model}).settings
    with watching() as watch:
        made = distill_model(settings, dimensions, output, watch)
    if as_json:
        write_json({"model": made.name, "folder": str(made.folder), "bytes": made.size_bytes})
    else:
        sys.stdout.write(f"{made.name} ({format_bytes(made.size_bytes)})\n")
