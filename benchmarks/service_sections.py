"""The sections of the page that speak of the service and the runtime."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from benchmarks.tables import Column, Row, number, numbers, table, value

AIM_MB, N_CLIENTS = 110, 3

SERVICE = """\
## One service for every process

Linux; all processors of the machine for everyone. PSS counts what processes share once; private
memory is what a process wrote itself, without clean pages of files; MB are 10^6 bytes. The program
that measures is a Python process as well: the interpreter's code that they share with it is counted
in part.

{sharing}

{stages}

{unloading}

{budget}

{one_text}

{bulk_clients}

{beside_bulk}
"""

SHARING = """\
### What three processes take

Each embeds its third of {n_texts:,} short texts, all at once; processes with a model of their own
share the processors' threads. Highest is of the sum, read every 0.2 s, all processes and the
service counted; the last columns are after the texts.

{table}

{missing}

Where the {pss:.0f} MB of the service, alone after the texts, and the {client:.0f} MB of a client
lie (PSS, MB):

{kinds}
"""

STAGES = """\
### What each step adds

One process that does step after step what a service, or a client of one, does; resident and
private MB after each, and how much private memory the step added. The aim for everything together,
with three clients, is {aim} MB; three interpreters with numpy, before anything of embedwell's, have
{bare:.0f} MB private.

{service}

{client}
"""

UNLOADING = """\
### Memory given back

One process: load, embed {n_texts:,} texts, unload, with two models in turn, ten times. Before the
first load, the libraries that run models imported, it had {private_mb:.1f} MB private and
{rss_mb:.1f} MB resident; after the last unload {private_above_mb:+.1f} and {rss_above_mb:+.1f}.
Private MB / resident MB:

{table}
"""

BUDGET = """\
### A budget under mixed requests

A budget of {budget_mb:.0f} MB holds one q8 model of 768 dimensions in use and not two.
{n_requests:,} requests of 1 to 8 texts for three models (all-MiniLM-L6-v2 and two of 768
dimensions) from 8 threads; resident memory read every 10 ms from outside.

{table}

{missing}
"""

ONE_TEXT = """\
### One short text

A call with one text of 8 to 20 tokens in a warm process, every text a new one, caches off.

{table}

{missing}
"""

BULK_CLIENTS = """\
### Eight clients at once

{n_texts:,} texts of 128 tokens: dealt out to {n_clients} client processes of one service, and in
one call in-process. In-process {in_process_tokens_per_s:,.0f} tokens/s, through the service
{service_tokens_per_s:,.0f}: {share:.2f} of it (visits: {visits}). The clients took
{clients_cpu_s:.2f} s of processor time together, the service {service_cpu_s:.2f} s.
"""

BESIDE_BULK = """\
### Short queries while others embed in bulk

One client asks for one short text after another while others embed 128-token texts all the time.
The bound is one batch ({batch_tokens} tokens, {batch_ms:.1f} ms in-process) and three times the
idle p50.

{table}

{missing}
"""


CACHE = """\
## The cache of vectors

Hit rates in per cent of {look_ups:,} look-ups with {entries:,} entries. "LFU" counts the uses of
what it holds; "LFU, all counted" never forgets a count, the best that LFU can be where the popular
texts stay the same. In streams whose popular texts change, every so many look-ups, a twentieth of
the ranks get other texts; nothing is promised of those. A hit takes {hits}.

{table}
"""


def service(part: Row) -> str:
    """Every question about the runtime and the service, in the order that they were measured."""
    text = SERVICE.format_map({name: write(part[name]) for name, write in PARTS.items()})
    return re.sub(r"\n{3,}", "\n\n", text)


def sharing(found: Row) -> str:
    """Memory of three processes together, by arrangement."""
    first = found["rows"][0]
    columns: list[Column] = [
        ("what embeds", value("setup")),
        ("PSS together, highest", lambda row: f"{row['highest']['pss_mb']:.0f}"),
        ("of each then, the service first", _each),
        ("PSS together after", lambda row: f"{row['after']['pss_mb']:.0f}"),
        ("each process", lambda row: f"{row['client']['pss_mb']:.0f}"),
        ("the service", lambda row: number("pss_mb", 0)(row.get("service", {}))),
        ("the service alone", lambda row: number("pss_mb", 0)(row.get("service_alone", {}))),
        ("s", number("seconds", 1)),
    ]  # fmt: skip
    return SHARING.format(
        n_texts=found["n_texts"],
        table=table(columns, found["rows"]),
        missing=left_out(found["missing"]),
        pss=first["service_alone"]["pss_mb"],
        client=first["client"]["pss_mb"],
        kinds=_kinds(first),
    )


def _each(row: Row) -> str:
    return " + ".join(f"{pss:.0f}" for pss in row["highest_each_pss_mb"])


def _kinds(row: Row) -> str:
    ours, client = row["service_kinds"], row["client_kinds"]
    rows = [
        {"kind": kind, "service": ours.get(kind), "client": client.get(kind)}
        for kind in dict.fromkeys([*ours, *client])
    ]
    columns: list[Column] = [
        ("what is mapped", value("kind")),
        ("the service", number("service", 1)),
        ("a client", number("client", 1)),
    ]
    return table(columns, rows)


def stages(found: Mapping[str, Sequence[Row]]) -> str:
    """Memory after each step of a service's start, and of a client's."""
    tables = {
        who: table(
            [
                (f"a {who}", value("stage")),
                ("resident", number("rss_mb", 1)),
                ("private", number("private_mb", 1)),
                ("added", lambda row: f"{row['added_mb']:+.1f}"),
            ],
            _with_added(rows),
        )
        for who, rows in found.items()
    }
    numpy = next(row for row in found["client"] if row["stage"] == "numpy")
    return STAGES.format(aim=AIM_MB, bare=N_CLIENTS * numpy["private_mb"], **tables)


def _with_added(rows: Sequence[Row]) -> list[Row]:
    """Each row with the private memory that its step added."""
    before = [0.0, *(row["private_mb"] for row in rows)]
    return [row | {"added_mb": row["private_mb"] - b} for row, b in zip(rows, before, strict=False)]


def unloading(found: Row) -> str:
    """Memory after each unload."""
    columns: list[Column] = [
        ("cycle", value("cycle")),
        ("model", value("model")),
        *((name, _of(column)) for name, column in
          (("loaded", "loaded"), ("used in bulk", "used"), ("unloaded", "after"))),
    ]  # fmt: skip
    shown = [row for row in found["rows"] if row["cycle"] in {1, 2, 3, found["rows"][-1]["cycle"]}]
    return UNLOADING.format_map({**found, **found["before"], "table": table(columns, shown)})


def _of(column: str) -> Callable[[Row], str]:
    return lambda row: numbers(["private_mb", "rss_mb"], 1)(row[column])


def budget(found: Row) -> str:
    """What became of the requests, and the highest memory."""
    columns: list[Column] = [
        ("where", value("where")),
        ("highest resident MB", number("highest_rss_mb", 1)),
        ("of the budget", number("of_budget", 3)),
        ("answered", number("n_answered", 0)),
        ("refused or failed", _failed),
        ("loads", lambda row: row.get("events", {}).get("loaded", "-")),
        ("unloads and refusals", lambda row: counts(row.get("reasons", {}))),
        ("killed for memory", number("oom_kills", 0)),
        ("s", number("seconds", 1)),
    ]
    asked = next((row["n_requests"] for row in found["rows"] if "n_requests" in row), 0)
    return BUDGET.format(
        budget_mb=found["budget_mb"],
        n_requests=asked,
        table=table(columns, found["rows"]),
        missing=left_out(found["missing"]),
    )


def _failed(row: Row) -> str:
    return f"ended with status {row['status']}" if row["status"] else counts(row["errors"])


def one_text(found: Row) -> str:
    """Latency of one short text."""
    columns: list[Column] = [
        ("how", value("how")),
        ("p50 ms", number("p50_ms", 2)),
        ("p90", number("p90_ms", 2)),
        ("p99", number("p99_ms", 2)),
    ]
    return ONE_TEXT.format(table=table(columns, found["rows"]), missing=left_out(found["missing"]))


def bulk_clients(found: Row) -> str:
    """The rate of eight clients beside the in-process one."""
    visits = ", ".join(f"{share:.2f}" for share in found["visits_share"])
    return BULK_CLIENTS.format_map({**found, "visits": visits})


def beside_bulk(found: Row) -> str:
    """Latency of short queries under bulk embedding."""
    columns: list[Column] = [
        ("how", value("how")),
        ("bulk clients", value("n_bulk_clients")),
        ("idle p50 ms", number("idle_p50_ms", 2)),
        ("p50 ms", number("p50_ms", 2)),
        ("p99", number("p99_ms", 2)),
        ("highest", number("highest_ms", 2)),
        ("bound on p99", number("bound_ms", 2)),
        ("bulk tokens/s", number("bulk_tokens_per_s", 0)),
    ]
    return BESIDE_BULK.format_map(
        {**found, "table": table(columns, found["rows"]), "missing": left_out(found["missing"])}
    )


def cache(part: Row) -> str:
    """Hit rates of the cache of vectors beside other policies, and the time of a hit."""
    policies = list(part["rows"][0]["hit_rates"])
    columns: list[Column] = [
        ("different texts", number("n_texts", 0)),
        ("Zipf's exponent", value("exponent")),
        ("other texts popular after", number("changes_after", 0)),
        *((name, _hit_rate(name)) for name in policies),
    ]
    hits = " and ".join(f"{us:.1f} µs ({kept})" for kept, us in part["hit_p50_us"].items())
    return CACHE.format_map({**part, "hits": hits, "table": table(columns, part["rows"])})


def _hit_rate(policy: str) -> Callable[[Row], str]:
    return lambda row: f"{row['hit_rates'][policy]:.1f}"


def left_out(missing: Sequence[str]) -> str:
    """A line for each thing that could not be had."""
    return "\n".join(f"Left out: {line}." for line in missing)


def counts(found: Mapping[str, int]) -> str:
    """Numbers by name, in a line."""
    return ", ".join(f"{name} {n:,}" for name, n in sorted(found.items())) or "0"


PARTS = {
    "sharing": sharing,
    "stages": stages,
    "unloading": unloading,
    "budget": budget,
    "one_text": one_text,
    "bulk_clients": bulk_clients,
    "beside_bulk": beside_bulk,
}
