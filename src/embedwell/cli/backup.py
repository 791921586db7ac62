"""`embedwell backup`: copy an index while it is used."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from embedwell.cli.options import db_option, json_option


@click.command("backup")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@db_option
@json_option
def command(*, target: Path, db: str | None, as_json: bool) -> None:
    """Copy the index as of now into the new file TARGET, while others go on writing."""
    from embedwell.app.config.sizes import format_bytes
    from embedwell.app.indexes.opening import open_index
    from embedwell.cli.output import write_json

    with open_index(db=db, create=False) as index:
        index.store.backup(target)
    size = target.stat().st_size
    if as_json:
        write_json({"target": str(target), "size_bytes": size})
    else:
        sys.stdout.write(f"{target}: {format_bytes(size)}\n")
