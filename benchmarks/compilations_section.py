"""The section of the page about llama.cpp."""

from __future__ import annotations

from benchmarks.tables import Column, Row, number, numbers, table, value

LLAMA_CPP = """\
## llama.cpp, compiled with AVX2 and without

One version on one thread of one machine, compiled twice; it runs in a process of its own, and what
is given is the memory of that process (embedwell's own comes on top, about 50 MB); embedwell's rows
are its own artifacts, and a whole process. Time is the processor time of whichever process
computes.

{speed}

{missing}

Drift, as the handshake measures it, of a reader from what a writer has stored: mean and worst of
the natural probes, scatter, worst of the odd ones. `embedwell's reader` is our network on the
numbers in the same GGUF file, at q32.

{drift}
"""


def llama_cpp(part: Row) -> str:
    """Speed and drift of each compilation."""
    speed: list[Column] = [
        ("what", value("name")),
        ("weights", value("kind")),
        ("tokens per second of processor time", number("tokens_per_cpu_s", 0)),
        ("one query, ms of it", number("query_ms", 1)),
        ("resident MB", number("rss_mb", 0)),
    ]
    drift: list[Column] = [
        ("weights", value("kind")),
        ("writer", value("writer")),
        ("reader", value("reader")),
        ("mean / worst", numbers(["mean", "worst"], 6)),
        ("scatter", number("scatter", 4)),
        ("odd, worst", number("odd_worst", 5)),
        ("let in", lambda row: "yes" if row["admitted"] else "**no**"),
    ]
    rows = [row for row in part["drift"] if row["writer"] < row["reader"]]  # it is nearly symmetric
    return LLAMA_CPP.format(
        speed=table(speed, part["speed"]),
        missing="\n".join(f"Left out: {line}." for line in part["missing"]),
        drift=table(drift, rows),
    )
