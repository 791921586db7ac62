"""The section of the page about readers that are refused or let in."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.tables import Column, Row, number, numbers, table, value

WRONG_READERS = """\
## Wrong readers

A store that the q32 artifact wrote; readers that all present its own declaration, most of them
wrong somewhere. Overlap: how much of the right top 10 stays on {n_passages:,} passages (English,
French, code), and on {n_large:,} (the real ones extended), over {n_queries} questions, held-out
passages and single words. A reader below {refused_below} on {n_passages:,} passages must be
refused, one above {admitted_above} let in; between, either will do. Bounds of the drift on the
probe texts: {bounds}.

Probes and bounds were chosen with {n_tuning} readers that a hash of their names set apart (there
the rule holds for {n_tuning_holds}), and not with the {n_reported} below: for {n_holds} of these it
holds. Of those that it binds, {n_harmful} had to be refused and {n_refused} were; {n_harmless} had
to be let in and {n_let_in} were. The lowest overlap that was let in is {lowest:.3f}, and
{lowest_large:.3f} on {n_large:,} passages.

{broken}

What the same drift means among more passages, all readers by mean drift:

{larger}

The readers that were not there when probes and bounds were chosen:

{table}

No set of fixed texts sees what harms only texts unlike all of them: a rare word with a broken row
in the table of words, one script, or one length between those of the probes.
"""


def wrong_readers(part: Row) -> str:
    """What every reader does to results, and what the handshake says of it."""
    rows: list[Row] = part["rows"]
    reported = [row for row in rows if row["half"] == "reported"]
    tuning = [row for row in rows if row["half"] == "tuning"]
    let_in = [row for row in rows if row["admitted"]]
    harmful = [row for row in reported if row["overlap"] < part["refused_below"]]
    harmless = [row for row in reported if row["overlap"] > part["admitted_above"]]
    return WRONG_READERS.format_map(
        {
            **part,
            "bounds": ", ".join(f"{name} {bound:g}" for name, bound in part["bounds"].items()),
            "n_tuning": len(tuning),
            "n_tuning_holds": sum(row["holds"] for row in tuning),
            "n_reported": len(reported),
            "n_holds": sum(row["holds"] for row in reported),
            "n_harmful": len(harmful),
            "n_refused": sum(not row["admitted"] for row in harmful),
            "n_harmless": len(harmless),
            "n_let_in": sum(row["admitted"] for row in harmless),
            "lowest": min(row["overlap"] for row in let_in),
            "lowest_large": min(row["overlap_large"] for row in let_in),
            "broken": _broken(reported),
            "larger": _larger(rows),
            "table": table(COLUMNS, reported),
        }
    )


def _broken(rows: Sequence[Row]) -> str:
    """Where the rule does not hold; nothing where it does."""
    lines = [
        f"- {row['kind']}, {row['name']}: overlap {row['overlap']:.3f}, {verdict(row)} "
        f"(worst on '{row['worst_text']}…'); {_changed(row)}"
        for row in rows
        if not row["holds"]
    ]
    return "\n".join(["It does not hold for:", "", *lines]) if lines else ""


def _changed(row: Row) -> str:
    if not row["n_changed"]:
        return "it changes the vector of no query, as none holds what it harms"
    return (
        f"it changes {row['n_changed']} queries, whose own overlap is {row['overlap_changed']:.3f}"
    )


def _larger(rows: Sequence[Row]) -> str:
    """Overlap in the small and the large store, by steps of mean drift."""
    lines = []
    for low, high in STEPS:
        found = [row for row in rows if row["mean"] is not None and low <= row["mean"] < high]
        if found:
            lines.append({
                "drift": f"{low:g} to {high:g}",
                "n": len(found),
                "n_let_in": sum(row["admitted"] for row in found),
                **{column: _range([row[column] for row in found])
                   for column in ("overlap", "overlap_large")},
            })  # fmt: skip
    columns: list[Column] = [
        ("mean drift", value("drift")),
        ("readers", value("n")),
        ("let in", value("n_let_in")),
        ("overlap, 1,000 passages: lowest / median / highest", value("overlap")),
        ("100,000 passages", value("overlap_large")),
    ]
    return table(columns, lines)


def _range(found: Sequence[float]) -> str:
    ordered = sorted(found)
    shown = (ordered[0], ordered[len(ordered) // 2], ordered[-1])
    return " / ".join(f"{share:.3f}" for share in shown)


def verdict(row: Row) -> str:
    """Let in, or refused and by which bounds."""
    return "let in" if row["admitted"] else f"refused: {', '.join(row['beyond'])}"


STEPS = ((0, 1e-4), (1e-4, 5e-4), (5e-4, 2e-3), (2e-3, 5e-3), (5e-3, 0.01), (0.01, 0.02),
         (0.02, 0.05), (0.05, 0.1))  # fmt: skip
COLUMNS: list[Column] = [
    ("where", value("kind")),
    ("reader", value("name")),
    ("overlap 1,000 / 100,000", numbers(["overlap", "overlap_large"], 3)),
    ("drift, mean / worst", numbers(["mean", "worst"], 4)),
    ("scatter", number("scatter", 3)),
    ("odd, worst", number("odd_worst", 4)),
    ("verdict", verdict),
]
