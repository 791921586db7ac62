"""The section of the page that speaks of migrations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.tables import Column, number, table, value

MIGRATION = """\
## Moving to another model while it is used

{n:,} short passages move from 384 to 768 dimensions and back (a BERT-base of random weights, so its
vectors are as good as its speed), while four readers search, each pausing 50 ms between searches,
and one writer adds a passage every 0.3 s. One process, both models loaded.

{steps}

{readers}

Searches before anything else ran took {quiet:.1f} ms (p50, query embedded). At the end every
passage has its vector, and beside a fresh index of the same texts the lowest cosine is
{cosine:.6f} and {same:.0%} of {n_queries} searches give the same results in the same order.
"""


def migration(part: Mapping[str, Any]) -> str:
    """What the migrations took, and what readers saw."""
    steps: list[Column] = [
        ("to", value("to")),
        ("took s", number("took_s", 0)),
        ("passages a second", number("chunks_per_s", 0)),
        ("when alone", number("alone_per_s", 0)),
        ("file before MB", number("before_mb", 1)),
        ("after MB", number("after_mb", 1)),
    ]
    readers: list[Column] = [
        ("reader", value("reader")),
        ("searches", value("n")),
        ("failed", value("n_failed")),
        ("repeated at a switch", value("n_again")),
        ("p50 ms", number("p50_ms", 1)),
        ("p99 ms", number("p99_ms", 0)),
        ("longest ms", number("max_ms", 0)),
    ]
    rows = [row | {"reader": at + 1} for at, row in enumerate(part["readers"])]
    fresh = part["equal_to_fresh"]
    return MIGRATION.format(
        n=part["n_chunks"],
        steps=table(steps, part["steps"]),
        readers=table(readers, rows),
        quiet=part["quiet_p50_ms"],
        cosine=fresh["worst_cosine"],
        same=fresh["same_results"],
        n_queries=part["n_queries"],
    )
