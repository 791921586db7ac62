"""Work a queue off with several processes, and add up what they did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from embedwell.app.workers.duty import Duty
from embedwell.app.workers.fleet import run_fleet
from embedwell.core import errors
from embedwell.core.errors import EmbedwellError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.ingest.walk import Skipped
from embedwell.jobs.work.report import WorkReport

_COUNTS = ("n_added", "n_updated", "n_unchanged", "n_chunks", "n_embedded", "n_truncated")


def working_fleet(
    target: Path | str, n_workers: int, given: Mapping[str, Any]
) -> Callable[[Watch], WorkReport]:
    """What works off a store's queue with processes of its own.

    Args:
        target: The store.
        n_workers: How many.
        given: Settings that were chosen for this work, such as `quantization`.
    """
    all_given = {**given, "db": str(target)}

    def work_off(watch: Watch) -> WorkReport:
        report = run_fleet(Path(), all_given, n_workers, Duty(once=True), watch)
        if report.error:
            raise raised(report.error)
        if watch.cancelled.is_set():
            raise TaskCancelledError("index")
        return added_up(report.workers)

    return work_off


def added_up(reports: Sequence[Mapping[str, Any]]) -> WorkReport:
    """What several workers did together, from what each of them said."""
    counts = {name: sum(report.get(name, 0) for report in reports) for name in _COUNTS}
    return WorkReport(**counts, failed=_all(reports, "failed"), notes=_all(reports, "notes"))


def _all(reports: Sequence[Mapping[str, Any]], name: str) -> list[Skipped]:
    return [Skipped(one["key"], one["reason"]) for report in reports for one in report[name]]


def raised(error: Mapping[str, Any]) -> EmbedwellError:
    """The error that a worker ended with, of its kind where that has no more to it."""
    if error.get("type") == "CanaryError":
        return errors.CanaryError(error["problem"], error["remedy"], error.get("report", {}))
    kind = getattr(errors, str(error.get("type")), EmbedwellError)
    if kind.__init__ is not EmbedwellError.__init__:
        kind = EmbedwellError
    found: EmbedwellError = kind(error["problem"], error["remedy"])
    return found
