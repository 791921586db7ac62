"""`embedwell runs`: what was indexed when, how a run checked itself, and stopping one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedwell.cli.options import db_option, json_option

if TYPE_CHECKING:
    from embedwell.stores.queue import Queue, Run

_STOPPED = "Somebody stopped it (`embedwell runs stop`)."
_REASON = 100  # characters; all of it is shown with the run


@click.command("runs")
@click.argument("what", default="", metavar="[NUMBER|stop|resume]")
@click.option("--metrics", is_flag=True, help="Show how the run went on, worker by worker.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write an SVG of its chunks a second.",
)
@db_option
@json_option
def command(*, what: str, metrics: bool, plot: Path | None, db: str | None, as_json: bool) -> None:
    """Show all runs, or what the run NUMBER found when it checked itself.

    With --metrics or --plot: how fast it was over time, of the newest run where no number is given.

    `stop` lets no worker claim anything more, on any machine; what they have in hand is finished.
    `resume` lets a stopped run go on: `embedwell index` or `embedwell work` does the rest.
    """
    from embedwell.app.indexes.opening import open_index
    from embedwell.cli.output import write_json

    if what and what not in {"stop", "resume"} and not what.isdecimal():
        raise click.BadArgumentUsage(f"'{what}' is neither a run's number nor stop or resume.")
    with open_index(db=db, create=False) as index:
        queue = index.store.queue
        if metrics or plot:
            _tell_metrics(queue, what, as_json=as_json, plot=plot)
            return
        if what in {"stop", "resume"}:
            shown = [_changed(queue, what)]
        else:
            shown = [_run(queue, int(what))] if what else queue.runs()
        now = queue.now()
    if as_json:
        found = [asdict(run) for run in shown]
        write_json(found[0] if what else found)
    else:
        _tell(shown, now)
        if what.isdecimal():
            _tell_more(shown[0])


def _tell_metrics(queue: Queue, what: str, *, as_json: bool, plot: Path | None) -> None:
    from embedwell.cli.metrics_view import tell_metrics

    newest = queue.run()
    number = int(what) if what.isdecimal() else newest.number if newest else 0
    tell_metrics(queue.metrics(_run(queue, number).number), as_json=as_json, plot=plot)


def _changed(queue: Queue, what: str) -> Run:
    """Stop or resume the open run."""
    from embedwell.core.errors import QueueError

    before = queue.run()
    if before is None or before.status == "done":
        raise QueueError("No run is open.", "`embedwell index` begins one.")
    if what == "resume":
        queue.resume_run()
        queue.close_run()  # where nothing is left of it
    elif before.status != "stopped":
        queue.stop_run(_STOPPED)
    return _run(queue, before.number)


def _run(queue: Queue, number: int) -> Run:
    from embedwell.core.errors import QueueError

    found = queue.run(number)
    if found is None:
        numbers = ", ".join(str(run.number) for run in queue.runs()) or "none"
        raise QueueError(f"There is no run {number}.", f"There are: {numbers}.")
    return found


def _tell(runs: Sequence[Run], now: float) -> None:
    from embedwell.cli.output import write_table

    if not runs:
        sys.stdout.write("Nothing was ever queued here.\n")
        return
    columns = ["run", "began", "took", "status", "documents", "chunks", "size", "a second", "why"]
    write_table(columns, (_row(run, now) for run in runs))


def _row(run: Run, now: float) -> tuple[str, ...]:
    from embedwell.app.config.sizes import format_bytes
    from embedwell.cli.output import duration

    took_s = max((run.ended_at or now) - run.started_at, 0.0)
    counted = {
        "stored": run.n_done,
        "failed": run.n_failed,
        "skipped": run.n_skipped,
        "without text": run.n_empty,
    }
    reason = run.reason if len(run.reason) <= _REASON else f"{run.reason[:_REASON]}…"
    return (
        str(run.number),
        datetime.fromtimestamp(run.started_at).astimezone().strftime("%Y-%m-%d %H:%M"),
        duration(took_s),
        run.status,
        ", ".join(f"{n:,} {name}" for name, n in counted.items() if n) or "none",
        f"{run.n_chunks:,}",
        format_bytes(run.n_bytes),
        f"{run.n_finished / took_s:,.0f}" if took_s else "",
        reason,
    )


def _tell_more(run: Run) -> None:
    from embedwell.cli.checks import tell_check

    if run.reason:
        sys.stdout.write(f"{run.reason}\n")
    tell_check(run.report)
    if run.status != "done" and run.canary_at:
        sys.stdout.write(f"checks itself next after {run.canary_at:,} documents\n")
