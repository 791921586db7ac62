"""The section of the page that speaks of search among many vectors."""

from __future__ import annotations

from benchmarks.tables import Column, Row, number, table, value

TEXT = """\
## Search among many vectors

384 dimensions, k = 10, one thread, warm, 200 questions asked several times, through
`Store.nearest` for embedwell: a SQLite file, the best rows read from it and scored exactly. Recall
is against exact search. Memory is resident, of the process that searches (of a server's in
brackets), imports included; the first result is from opening the file, after imports, in a fresh
process. Filters let a tenth and a hundredth of the documents through. Changed: a twentieth of the
documents replaced, a twentieth removed, by the process that then searches. {without}

{tables}

{missing}
"""
WITHOUT = "`-`: it has no such thing, or it was not tried."
MADE = (
    "{n:,} vectors, made from {n_real:,} of real passages; median cosine of a question to its tenth"
    " neighbour {similarity:.3f}, among the real ones alone {similarity_real:.3f}:"
)


def vector_search(part: Row) -> str:
    """A table for each size."""
    tables = []
    for made in part["made"]:
        rows = [row for row in part["rows"] if row["n"] == made["n"]]
        tables.append(MADE.format_map(made) + "\n\n" + table(COLUMNS, rows))
    missing = "\n".join(f"- Left out: {reason}." for reason in part["missing"])
    return TEXT.format(without=WITHOUT, tables="\n\n".join(tables), missing=missing)


def _search(name: str):
    """Median time and recall of one kind of search."""

    def show(row: Row) -> str:
        found = row.get(name)
        return f"{found['p50_ms']:.2f} ({found['recall']:.4f})" if found else "-"

    return show


def _memory(row: Row) -> str:
    server = f" ({row['server_mb']:.0f})" if row["server_mb"] else ""
    return f"{row['rss_mb']:.0f}{server}"


COLUMNS: list[Column] = [
    ("", value("system")),
    ("p50 ms (recall@10)", _search("all")),
    ("10 % filter", _search("10 %")),
    ("1 % filter", _search("1 %")),
    ("changed", _search("changed")),
    ("memory MB", _memory),
    ("first result ms", number("first_ms", 0)),
    ("build s", number("build_s", 0)),
]
