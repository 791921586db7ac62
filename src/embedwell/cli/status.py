"""`embedwell status`: what an index holds, which files are stale, and how far a run is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

import click

from embedwell.cli.options import db_option, json_option
from embedwell.cli.output import write_json

if TYPE_CHECKING:
    from embedwell.app.indexes.index import Index
    from embedwell.app.indexes.progress import Ingestion
    from embedwell.app.indexes.status import SpaceStatus, Status
    from embedwell.core.events import Watch

_LOOK_S = 1.0
# A database may be away for so long while somebody looks on.
_PATIENCE_S = 300.0


@click.command("status")
@db_option
@click.option("--watch", "is_watching", is_flag=True, help="Follow a run until it is over.")
@json_option
def command(*, db: str | None, is_watching: bool, as_json: bool) -> None:
    """Show what the index of this folder holds, which files are stale and how far a run is.

    With --watch: rows by status, speed, time left, failures by kind and workers, live; with --json
    too, a line of JSON for each change.
    """
    from embedwell.app.indexes.opening import open_index
    from embedwell.app.indexes.status import status
    from embedwell.cli.progress import watching

    with watching() as watch, open_index(db=db, create=False) as index:
        if is_watching:
            seen = _followed(index, watch)
            _write_changes(seen) if as_json else _draw(seen)
            return
        found = status(index)
    if as_json:
        write_json(asdict(found))
        return
    _tell(found)


def _followed(index: Index, watch: Watch) -> Iterator[Ingestion]:
    """How far it is, again and again, until it is over or nobody wants to see it any more."""
    from embedwell.app.indexes.progress import Observer
    from embedwell.jobs.work.patience import Patience

    observer, patience = Observer(), Patience(_PATIENCE_S, watch)
    while not watch.cancelled.is_set():
        found = patience.with_store(partial(observer.look, index.store.queue))
        if found is not None:
            yield found
        if found is None or found.state in {"done", "stopped"}:
            return
        watch.cancelled.wait(_LOOK_S)


def _write_changes(found: Iterator[Ingestion]) -> None:
    last = None
    for one in found:
        workers = tuple(replace(worker, seen_s=0.0) for worker in one.workers)
        told = replace(one, took_s=0.0, eta_s=None, overall=one.lately, workers=workers)
        if told == last:
            continue
        last = told
        write_json(asdict(one))
        sys.stdout.flush()


def _draw(found: Iterator[Ingestion]) -> None:
    from rich.live import Live

    from embedwell.cli.ingestion import panel
    from embedwell.cli.output import console

    shown = console()
    if not shown.is_terminal:
        for one in found:
            shown.print(panel(one))
            shown.print(time.strftime("%H:%M:%S"))
        return
    with Live(console=shown, auto_refresh=False) as live:
        for one in found:
            live.update(panel(one), refresh=True)


def _tell(found: Status) -> None:
    from embedwell.app.config.sizes import format_bytes
    from embedwell.cli.ingestion import counts_line, headline
    from embedwell.cli.output import write_table

    rows = [
        ("index", f"{found.db}, searched by {found.index}"),
        ("documents", f"{found.documents:,}"),
        ("chunks", f"{found.chunks:,}"),
        ("size", format_bytes(found.size_bytes)),
        *(("model", _space_line(one)) for one in found.spaces if one.role == "main"),
        ("space", found.space[:12]),
        ("made by", found.made_by),
    ]
    rows += [(one.role, _space_line(one)) for one in found.spaces if one.role != "main"]
    for source in found.sources:
        if source.place or len(found.sources) > 1:
            rows.append(("source", f"{source.name}: {source.kind} {source.place}".rstrip()))
    if found.stale is not None:
        n_stale = len(found.stale.changed) + len(found.stale.gone)
        remedy = ": run `embedwell index`" if n_stale else ""
        changed, gone = len(found.stale.changed), len(found.stale.gone)
        rows.append(("stale", f"{changed:,} new or changed, {gone:,} gone{remedy}"))
    if found.ingestion is not None:
        rows.append(("run", headline(found.ingestion)))
        rows.append(("queue", counts_line(found.ingestion)))
        rows += [("failed", f"{one.n:,}: {one.kind}") for one in found.ingestion.failures]
    write_table(["", ""], rows)


def _space_line(one: SpaceStatus) -> str:
    alone = f", {one.holds[0]} alone" if len(one.holds) == 1 else ""
    lacks = f", {one.missing:,} chunks are not in it" if one.missing else ""
    return f"{one.model}, {one.dimensions} dimensions{alone}{lacks}"
