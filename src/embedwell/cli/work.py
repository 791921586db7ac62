"""`embedwell work`: workers for an index, anywhere."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from embedwell.cli.failure import explain_fields
from embedwell.cli.options import db_option, json_option
from embedwell.cli.output import harmless, write_json

if TYPE_CHECKING:
    from embedwell.app.workers.duty import Duty
    from embedwell.cli.progress import TerminalWatch

_SHOWN = 10
SOME_FAILED = 3


def _moved(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, Path]:
    del context, parameter
    found = {}
    for value in values:
        name, equals, folder = value.partition("=")
        if not (name and equals and folder):
            raise click.BadParameter(f"'{value}' is not of the form NAME=FOLDER.")
        found[name] = Path(folder)
    return found


@click.command("work")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@db_option
@click.option("--workers", type=click.IntRange(1), default=1, help="Processes; 1 by default.")
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=100,
    help="Most documents that a worker claims at once; 100 by default.",
)
@click.option("--once", is_flag=True, help="End when the queue is drained.")
@click.option(
    "--source",
    "sources",
    metavar="NAME=FOLDER",
    multiple=True,
    callback=_moved,
    help="Where a source's folder is on this machine, if not where the index says; repeatable.",
)
@click.option(
    "--max-load",
    type=click.FloatRange(0),
    default=0.0,
    help="Claim nothing while the load average is above this.",
)
@click.option("--nice", type=click.IntRange(0, 19), default=0, help="Give way to other programs.")
@json_option
@click.option("--supervised", is_flag=True, hidden=True)
def command(
    *,
    path: Path,
    db: str | None,
    workers: int,
    batch_size: int,
    once: bool,
    sources: dict[str, Path],
    max_load: float,
    nice: int,
    as_json: bool,
    supervised: bool,
) -> None:
    """Work off the queue of the index of PATH, together with whoever else does.

    Run it on any machine that reaches the index and its sources. It waits for new work until it is
    stopped; SIGTERM or Ctrl-C store what is embedded and give the rest back.
    """
    from embedwell.app.workers.duty import Duty

    duty = Duty(once=once, batch_size=batch_size, moved=sources, max_load=max_load, nice=nice)
    if workers > 1:
        with _stopped_by_signals() as watch:
            _fleet(path, db, workers, duty, watch, as_json=as_json)
        return
    with _stopped_by_parent() if supervised else _stopped_by_signals() as watch:
        _worker(path, db, duty, watch, as_json=as_json, supervised=supervised)


def _worker(
    path: Path, db: str | None, duty: Duty, watch: TerminalWatch, *, as_json: bool, supervised: bool
) -> None:
    from embedwell.app.indexes.worker import run_worker
    from embedwell.jobs.work.report import WorkReport

    report = WorkReport()
    try:
        run_worker(path, db, duty, watch, report=report, on_open=watch.follow)
    finally:
        done = asdict(report)
        if as_json:
            write_json({"report": done} if supervised else done)
        else:
            _tell([done])
    if report.failed:
        sys.exit(SOME_FAILED)


def _fleet(
    path: Path, db: str | None, n: int, duty: Duty, watch: TerminalWatch, *, as_json: bool
) -> None:
    from embedwell.app.indexes.opening import open_index
    from embedwell.app.workers.fleet import run_fleet

    with open_index(path, db=db, create=False) as index:
        watch.follow(index.store.queue)
        report = run_fleet(path, {"db": db}, n, duty, watch)
    if as_json:
        write_json(asdict(report))
    else:
        _tell(report.workers)
    if report.error:
        explain_fields(report.error, as_json=as_json)
    sys.exit(report.code)


def _tell(reports: Sequence[Mapping[str, Any]]) -> None:
    """A line for all workers together, and one for each document that failed."""
    done, chunks, unchanged = (
        sum(report[name] for report in reports) for name in ("n_done", "n_chunks", "n_unchanged")
    )
    failed = [failure for report in reports for failure in report["failed"]]
    sys.stdout.write(
        f"{done:,} documents stored with {chunks:,} chunks, {unchanged:,} unchanged, "
        f"{len(failed):,} failed\n"
    )
    for failure in failed[:_SHOWN]:
        sys.stderr.write(harmless(f"  {failure['key']}: {failure['reason']}\n"))


@contextmanager
def _stopped_by_signals() -> Iterator[TerminalWatch]:
    """A watch that SIGTERM, Ctrl-C and (on Windows) Ctrl-Break stop, with bars on a terminal."""
    from embedwell.cli.progress import watching

    with watching() as watch, ExitStack() as stack:

        def stop(number: int, frame: FrameType | None) -> None:
            del number, frame
            watch.cancelled.set()

        for name in ("SIGTERM", "SIGBREAK"):
            if number := getattr(signal, name, None):
                stack.callback(signal.signal, number, signal.signal(number, stop))
        yield watch


@contextmanager
def _stopped_by_parent() -> Iterator[TerminalWatch]:
    """A watch that is stopped when standard input ends: when a fleet says so, or is no more."""
    from embedwell.cli.progress import TerminalWatch

    watch = TerminalWatch()

    def wait() -> None:
        while os.read(0, 1):
            pass
        watch.cancelled.set()

    threading.Thread(target=wait, name="parent", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the fleet's: it asks us to end
    signal.signal(signal.SIGTERM, lambda _number, _frame: watch.cancelled.set())
    yield watch
