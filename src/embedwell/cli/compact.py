"""`embedwell compact`: give the space of what was deleted back."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from embedwell.cli.options import db_option, json_option


@click.command("compact")
@db_option
@json_option
def command(*, db: str | None, as_json: bool) -> None:
    """Give the disk space of deleted and replaced documents back; others may read meanwhile."""
    from embedwell.app.config.sizes import format_bytes
    from embedwell.app.indexes.opening import open_index
    from embedwell.cli.output import write_json

    with open_index(db=db, create=False) as index:
        found = index.store.compact()
    if as_json:
        write_json(asdict(found))
    else:
        before, after = format_bytes(found.before_bytes), format_bytes(found.after_bytes)
        sys.stdout.write(f"{before} before, {after} now\n")
