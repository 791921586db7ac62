"""The section of the page that speaks of the PostgreSQL store."""

from __future__ import annotations

from benchmarks.searchers import FILTERS
from benchmarks.tables import Row, table

TEXT = """\
## PostgreSQL

{n:,} of the vectors above, in documents of 20, through `PostgresStore` and the server of
`embedwell[postgres-embedded]` with its own defaults, on the same machine as the client. Loaded with
COPY in {load_s:.0f} s while the index was dropped; building it took {index_s:.0f} s;
{size_mb:,.0f} MB in all. k = 10, 200 questions asked several times, warm. Changed: as above.

{table}
"""


def postgres(part: Row) -> str:
    """A row for each kind of search."""
    rows = [{"name": name} | part[name] for name in (*FILTERS, "changed") if name in part]
    columns = [
        ("", lambda row: row["name"]),
        ("p50 ms", lambda row: f"{row['p50_ms']:.1f}"),
        ("recall@10", lambda row: f"{row['recall']:.4f}"),
    ]
    return TEXT.format_map(dict(part) | {"table": table(columns, rows)})
