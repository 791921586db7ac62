"""`embedwell index`: make an index, or bring it up to date."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from embedwell.cli.index_request import check, home_of, request_of, source_options
from embedwell.cli.options import db_option, json_option, model_options, threads_option
from embedwell.cli.output import harmless, write_json

if TYPE_CHECKING:
    from embedwell.app.indexes.index import Index
    from embedwell.app.indexes.requests import Request
    from embedwell.core.events import Watch
    from embedwell.jobs.index import IndexReport
    from embedwell.jobs.sweeping.sweep import Sweeping

# A person wants to see the first few; --json has them all.
_SHOWN = 10
_REHEARSED = 1000  # files, where the setting has runs check nothing


@click.command("index")
@click.argument("path", required=False)
@source_options
@click.option("--watch", is_flag=True, help="Go on: follow what changes, until it is stopped.")
@click.option("--queue-only", is_flag=True, help="Only queue; `embedwell work` does the rest.")
@click.option(
    "--workers", type=click.IntRange(1), help="Work with so many processes instead of this one."
)
@click.option(
    "--canary",
    type=click.IntRange(0),
    metavar="N",
    help="Check the run after N files and at each power of ten; 0 never.",
)
@click.option(
    "--canary-only", is_flag=True, help="A rehearsal: stop after that check; --resume goes on."
)
@click.option("--resume", is_flag=True, help="Let a run that was stopped go on.")
@db_option
@click.option("--code-model", help="Model for the code in a new index, beside --model for text.")
@model_options
@threads_option
@json_option
def command(**options: Any) -> None:  # noqa: ANN401 - what click gives
    """Index the folder PATH, or bring its index up to date.

    Only new and changed files are read, only new passages are embedded, and removed files leave.
    Without PATH, all that an index was filled from is indexed again. Ctrl-C keeps what was done;
    the next run goes on from there.
    """
    from embedwell.app.config.place import shown_target
    from embedwell.app.indexes.opening import open_index
    from embedwell.app.models.language import uncovered
    from embedwell.cli.progress import watching

    check(options)
    names = ("db", "model", "code_model", "quantization", "threads")
    given = {name: options[name] for name in names}
    with (
        watching() as watch,
        _ended_by_sigterm(watch),
        open_index(home_of(options), **given, watch=watch) as index,
    ):
        watch.follow(index.store.queue)
        if index.chosen is not None:
            sys.stderr.write(f"{index.chosen.reason}\n")
        if index.notice:
            sys.stderr.write(f"{index.notice}\n")
        if options["resume"]:
            index.store.queue.resume_run()
        request = request_of(options, index)
        _tell_patterns(options, index)
        if options["watch"]:
            _follow(index, request, watch, options)
            return
        if options["canary_only"]:
            _rehearse(index, request, watch, options)
            return
        report = _indexed(index, request, watch, options)
        counts = index.counts()
        foreign = uncovered(index.store, index.settings) if report.n_embedded else None
    if options["as_json"]:
        total = {"db": shown_target(index.target), "total": asdict(counts)}
        write_json(asdict(report) | total | {"uncovered": asdict(foreign) if foreign else None})
    else:
        _tell(report)
        if foreign is not None:
            sys.stderr.write(f"{foreign.said} {foreign.remedy}\n")
        place = shown_target(index.target)
        sys.stdout.write(f"{place}: {counts.documents:,} documents, {counts.chunks:,} chunks\n")
    if report.failed:
        sys.exit(3)


def _indexed(
    index: Index, request: Request, watch: Watch, options: Mapping[str, Any]
) -> IndexReport:
    by = None
    if options["workers"]:
        from embedwell.app.workers.fleet_work import working_fleet

        given = {name: options[name] for name in ("quantization", "threads")}
        by = working_fleet(index.target, options["workers"], given)
    sweeping = _sweeping(index, options)
    return index.ingest(request, watch, sweeping, by=by, leave=options["queue_only"])


def _sweeping(index: Index, options: Mapping[str, Any]) -> Sweeping:
    from embedwell.jobs.sweeping.sweep import Sweeping

    given = options["canary"]
    run = index.store.queue.run()
    if given is not None and run is not None and run.status != "done" and run.canary_at != given:
        sys.stderr.write(
            f"Run {run.number} goes on as it began; --canary holds for the runs after it.\n"
        )
    canary_at = index.settings.canary if given is None else given
    if options["canary_only"]:
        return Sweeping(canary_at or _REHEARSED, rehearsal=True)
    return Sweeping(canary_at)


def _rehearse(index: Index, request: Request, watch: Watch, options: Mapping[str, Any]) -> None:
    """Index until the first check and tell what that found."""
    from embedwell.cli.checks import end_rehearsal, may_rehearse
    from embedwell.core.errors import CanaryError

    queue = index.store.queue
    may_rehearse(queue.run())
    before = {run.number for run in queue.runs()}
    with suppress(CanaryError):  # it is told below
        _indexed(index, request, watch, options)
    run = queue.run()
    end_rehearsal(run if run and run.number not in before else None, as_json=options["as_json"])


def _follow(index: Index, request: Request, watch: Watch, options: Mapping[str, Any]) -> None:
    """Index now and at each change, until somebody stops it."""
    from embedwell.app.indexes.following import follow
    from embedwell.core.errors import TaskCancelledError

    tell: Callable[[IndexReport], None] = _tell_briefly
    if options["as_json"]:
        tell = lambda report: write_json(asdict(report))  # noqa: E731 - as short as it gets

    try:
        follow(
            index,
            lambda: tell(_indexed(index, request, watch, options)),
            watch,
            lambda said: click.echo(said, err=True),
        )
    except TaskCancelledError:
        sys.stderr.write("Stopped; what was stored is kept.\n")


@contextmanager
def _ended_by_sigterm(watch: Watch) -> Iterator[None]:
    """SIGTERM stops at the next safe point, as the first Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        watch.cancelled.set()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell_patterns(options: Mapping[str, Any], index: Index) -> None:
    """Say which patterns of earlier runs go on to hold."""
    if options["include"] or options["exclude"] or options["all_files"]:
        return
    for source in index.sources():
        kept = [f"--{kind} {one}" for kind in ("include", "exclude") for one in _kept(source, kind)]
        if source.kind == "folder" and kept:
            sys.stderr.write(
                f"Source '{source.name}' keeps to {' '.join(kept)} (--all-files forgets them)\n"
            )


def _kept(source: Any, kind: str) -> list[str]:  # noqa: ANN401 - a source
    return list(source.options.get(kind, ()))


def _tell_briefly(report: IndexReport) -> None:
    """A line where something happened."""
    if report.n_added or report.n_updated or report.n_removed or report.failed or report.n_queued:
        sys.stdout.write(f"{datetime.now():%H:%M:%S} ")  # noqa: DTZ005 - the clock on the wall
        _tell(report)
        sys.stdout.flush()


def _tell(report: IndexReport) -> None:
    sys.stdout.write(
        f"{report.n_added:,} added, {report.n_updated:,} updated, {report.n_removed:,} removed, "
        f"{report.n_unchanged:,} unchanged in {report.took_s:.1f} s; "
        f"{report.n_embedded:,} of {report.n_chunks:,} chunks embedded\n"
    )
    if report.n_queued:
        sys.stdout.write(f"{report.n_queued:,} queued; `embedwell work` does them\n")
    lists = {"left out": report.skipped, "failed": report.failed, "in part": report.notes}
    for name, things in lists.items():
        if not things:
            continue
        sys.stderr.write(f"{len(things):,} {name}:\n")
        for thing in things[:_SHOWN]:
            sys.stderr.write(harmless(f"  {thing.key}: {thing.reason}\n"))
        if len(things) > _SHOWN:
            sys.stderr.write(f"  … and {len(things) - _SHOWN:,} more; --json lists them all\n")
    if report.n_truncated:
        sys.stderr.write(f"{report.n_truncated:,} chunks were longer than the model takes\n")
