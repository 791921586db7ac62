"""What a run found when it checked itself, for people."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from embedwell.cli.output import duration, write_json, write_table
from embedwell.core.errors import QueueError

if TYPE_CHECKING:
    from embedwell.stores.queue import Run


def may_rehearse(run: Run | None) -> None:
    """Refuse a rehearsal within a run that is under way.

    Raises:
        QueueError: The newest run is open.
    """
    if run is not None and run.status != "done":
        raise QueueError(
            f"Run {run.number} is {run.status}, and a rehearsal begins with a run of its own.",
            "Let it end (`embedwell index --resume`), or `embedwell purge "
            f"--run {run.number}` before the rehearsal.",
        )


def end_rehearsal(run: Run | None, *, as_json: bool) -> None:
    """Tell what a rehearsal found, and exit with 1 where it stopped for a reason.

    Args:
        run: Its run; None where nothing had to be done.
        as_json: Whether it is told as JSON.
    """
    if run is None or not run.report:
        why = "Nothing is new: there is nothing to rehearse."
        if run is not None:
            why = "It is queued: whoever works on it stops after the check."
        sys.stdout.write("{}\n" if as_json else f"{why}\n")
        return
    if as_json:
        write_json(run.report)
    else:
        tell_check(run.report)
        left = "`embedwell index --resume` goes on from here.\n" if run.status != "done" else ""
        sys.stdout.write(left)
    if not run.report["passed"]:
        sys.exit(1)


def tell_check(report: Mapping[str, Any]) -> None:
    """Write the report of a check to standard output: a line for each thing that was looked at."""
    if not report:
        sys.stdout.write("The run has not checked itself yet.\n")
        return
    verdict = "nothing is wrong" if report["passed"] else "stopped"
    head = f"checked after {report['documents']:,} documents, in {duration(report['took_s'])}"
    sys.stdout.write(f"{head}: {verdict}\n")
    write_table(["", ""], _rows(report))
    for finding in report["findings"]:
        let_pass = "let pass: " if finding["kind"] in report["overruled"] else ""
        sys.stdout.write(f"{let_pass}{finding['problem']}.\n")
        sys.stdout.writelines(f"  {key}\n" for key in finding["examples"])
        sys.stdout.write(f"  {finding['remedy']}\n")


def _rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [("workers", ", ".join(_worker(one) for one in report["workers"]))]
    if drift := report["drift"]:
        rows.append(("drift", f"{drift['mean']:.2g} on average, {drift['worst']:.2g} at worst"))
    if "looked_at" not in report:
        return rows
    vectors, retrieved, whole = report["vectors"], report["retrieved"], report["looked_at"]
    rows.append(("vectors", f"{vectors['n_unusable']} of {vectors['n']:,} unusable"))
    found = f"{retrieved['n_found']} of {retrieved['n']} found by their own text"
    rows.append(("passages", f"{found}{_again(retrieved['drift'])}"))
    rows.append(("documents", _shares(whole)))
    rows.append(("cosines", f"{whole['mean']:.2f} on average, ± {whole['spread']:.2f}"))
    if report["last"]["n"]:
        rows.append(("the last ones", _shares(report["last"])))
    counts = report.get("rows", {})
    if counts:
        rows.append(("rows", f"{counts['n_empty']:,} without text, {counts['n_failed']:,} failed"))
    return rows


def _worker(prover: Mapping[str, Any]) -> str:
    error = f": {prover['error']}" if prover["error"] else ""
    return f"{prover['name']} {prover['state']}{error}"


def _again(drift: Mapping[str, Any] | None) -> str:
    if drift is None or drift["worst"] is None:
        return ""
    return f", {drift['worst']:.2g} at worst from their stored vectors"


def _shares(window: Mapping[str, Any]) -> str:
    return (
        f"{window['n']:,} looked at: {window['alike']:.0%} alike, {window['same']:.0%} the same, "
        f"{window['garbled']:.0%} garbled"
    )
