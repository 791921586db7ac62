"""`embedwell status`: what an index holds and which files are stale."""

from __future__ import annotations

from dataclasses import asdict

import click

from embedwell.cli.options import db_option, json_option


@click.command("status")
@db_option
@json_option
def command(*, db: str | None, as_json: bool) -> None:
    """Show what the index of this folder holds and which files are stale."""
    from embedwell.app.opening import open_index
    from embedwell.app.sizes import format_bytes
    from embedwell.app.status import status
    from embedwell.cli.output import write_json, write_table

    with open_index(db=db, create=False) as index:
        found = status(index)
    if as_json:
        write_json(asdict(found))
        return
    rows = [
        ("index", f"{found.db}, searched by {found.index}"),
        ("documents", f"{found.documents:,}"),
        ("chunks", f"{found.chunks:,}"),
        ("size", format_bytes(found.size_bytes)),
        ("model", f"{found.model}, {found.dimensions} dimensions"),
        ("space", found.space[:12]),
        ("made by", found.made_by),
    ]
    for one in found.spaces:
        if one.role != "main":
            lacks = f", {one.missing:,} chunks are not in it" if one.missing else ""
            rows.append((one.role, f"{one.model}, {one.dimensions} dimensions{lacks}"))
    if found.stale is not None:
        n_stale = len(found.stale.changed) + len(found.stale.gone)
        remedy = ": run `embedwell index`" if n_stale else ""
        changed, gone = len(found.stale.changed), len(found.stale.gone)
        rows.append(("stale", f"{changed:,} new or changed, {gone:,} gone{remedy}"))
    write_table(["", ""], rows)
