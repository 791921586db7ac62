"""Write `docs/benchmarks.md` and its chart from the committed results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from benchmarks import sections
from benchmarks.chart import bars
from benchmarks.paths import CHART, REPORT, RESULTS
from benchmarks.tables import Column, Row, table
from benchmarks.targets import Verdict, verdicts

HEAD = """\
# Benchmarks

Written by `make bench` from `benchmarks/results/`; do not edit. Peers run in environments of their
own on the same texts, each visit in a fresh process; their versions are pinned in
`benchmarks/requirements-*.txt`. What is measured, and how, is said in `benchmarks/README.md`.
"""
MARKS = {True: "yes", False: "**no**", None: "not measured"}


def write() -> None:
    """Read every part that has been measured and write the page and the chart."""
    results = {file.stem: json.loads(file.read_text("utf-8")) for file in RESULTS.glob("*.json")}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(page(results), "utf-8")
    if "speed" in results:
        CHART.write_text(_chart(results["speed"]["rows"]), "utf-8")


def page(results: Mapping[str, Row]) -> str:
    """The whole page; parts that have not been measured are left out."""
    known = [(name, write) for name, write in sections.SECTIONS.items() if name in results]
    parts = [
        HEAD,
        "\n".join(_measured_on(name, results[name]) for name, _ in known),
        promises(verdicts(results)),
        *(write(results[name]) for name, write in known),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def promises(found: Sequence[Verdict]) -> str:
    """Every target with its bound, what was measured and whether it is met."""
    rows = [
        {
            "what": verdict.target.what,
            "bound": f"{verdict.target.sign} {verdict.target.bound:g} {verdict.target.unit}",
            "measured": _measured(verdict),
            "kept": MARKS[verdict.met],
        }
        for verdict in found
    ]
    columns: list[Column] = [
        ("promise", lambda row: row["what"]),
        ("bound", lambda row: row["bound"].strip()),
        ("measured", lambda row: row["measured"]),
        ("kept", lambda row: row["kept"]),
    ]
    return "## What is promised, and what was measured\n\n" + table(columns, rows)


def _measured_on(name: str, part: Row) -> str:
    machine = part["machine"]
    return (
        f"- {name}: {part['date']}, {machine['processor']} "
        f"({', '.join(machine['instructions'])}), {machine['n_cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}, "
        f"embedwell {machine['embedwell']}; load when it began {machine['load_before']}; "
        f"took {part['took_s']} s"
    )


def _measured(verdict: Verdict) -> str:
    if verdict.value is None:
        return "-"
    near_one = 0.99 <= verdict.value < 1  # cosines need their digits, other numbers few
    digits = 7 if near_one else 3 if verdict.value < 1 else 2 if verdict.value < 100 else 0
    return f"{verdict.value:.{digits}f} {verdict.target.unit}".strip()


def _chart(rows: Sequence[Row]) -> str:
    single = [row for row in rows if row["n_threads"] == 1]
    series = {row["engine"]: list(row["tokens_per_s"].values()) for row in single}
    return bars("Tokens per second, one thread", sections.CORPORA, series)
