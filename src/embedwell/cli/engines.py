"""`embedwell engines`: what can run models here, and how well it does."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from embedwell.cli.options import json_option

if TYPE_CHECKING:
    from embedwell.app.checks.engines import EngineReport, EngineState


@click.command("engines")
@click.option("--model", help="For this model; by default the setting `model`.")
@click.option(
    "--measure", is_flag=True, help="Run each engine that is installed: speed, memory, drift."
)
@json_option
def command(*, model: str | None, measure: bool, as_json: bool) -> None:
    """Show which engines are installed, which would run the model and why, and what was measured.

    Drift is that of the handshake, from the vectors of the engine `onnx`: up to 0.01 on average
    and 0.03 at worst, one may read what the other has written.
    """
    from embedwell.app.checks.engines import look
    from embedwell.app.config.configuration import load
    from embedwell.cli.output import write_json
    from embedwell.cli.progress import watching

    with watching() as watch:
        report = look(load({"model": model}).settings, watch, measure=measure)
    if as_json:
        write_json(asdict(report))
        return
    level = f"@{report.quantization}" if report.quantization else ""
    sys.stdout.write(f"{report.model}{level} is run by {report.reason}\n\n")
    _write_installed(report)
    _write_measured(report)


def _write_installed(report: EngineReport) -> None:
    from embedwell.cli.output import write_table

    rows = [
        (
            "*" if state.is_chosen else "",
            state.name,
            state.version.partition("-")[0] or "-",
            state.native[:12] or "-",
            " ".join(state.quantizations),
            f"{state.problem} {state.remedy}".strip(),
        )
        for state in report.engines
    ]
    write_table(["", "engine", "version", "build", "runs", "what is missing"], rows)


def _write_measured(report: EngineReport) -> None:
    from embedwell.cli.output import write_table

    rows = [_row(state) for state in report.engines if state.measured or state.unmeasured]
    if not rows:
        if not report.quantization:  # a server's, which is not measured here
            return
        sys.stdout.write("\nNothing was measured yet: `embedwell engines --measure`.\n")
        return
    sys.stdout.write("\n")
    head = ["engine", "artifact", "one query", "tokens/s", "memory", "drift", "measured"]
    write_table(head, rows)


def _row(state: EngineState) -> tuple[str, ...]:
    from embedwell.app.config.sizes import format_bytes

    found = state.measured
    if found is None or state.unmeasured:
        return state.name, "-", "-", "-", "-", "-", state.unmeasured
    drift = "-"
    if found.drift_mean is not None:
        drift = f"{found.drift_mean:.2g} / {found.drift_worst:.2g}"
    return (
        state.name,
        found.artifact,
        f"{found.speed.query_ms:.1f} ms",
        f"{found.speed.tokens_per_s:,.0f}",
        f"{format_bytes(found.speed.loaded_bytes)} / {format_bytes(found.speed.after_bytes)}",
        drift,
        f"{found.at[:10]}, {found.n_threads} threads, version {found.version.partition('-')[0]}",
    )
