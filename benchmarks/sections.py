"""The sections of the page, each from the results of one part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean

from benchmarks.compilations_section import llama_cpp
from benchmarks.engines import DYNAMIC, OURS, REFERENCE
from benchmarks.ingestion_section import ingestion
from benchmarks.migration_sections import migration
from benchmarks.postgres_section import postgres
from benchmarks.service_sections import cache, service
from benchmarks.static_section import static_models
from benchmarks.tables import Column, Row, number, numbers, table, value
from benchmarks.text_and_code_section import text_and_code
from benchmarks.vector_search_section import vector_search
from benchmarks.wrong_readers_section import wrong_readers

CORPORA = ("short", "128", "mixed")
LOWER_IS_BETTER = {
    "one query, p50 ms": "query_p50_ms",
    "cold start s": "cold_start_s",
    "memory when loaded MB": "rss_loaded_mb",
    "memory after bulk MB": "rss_after_mb",
}

SPEED = """\
## Speed and memory

![Tokens per second, one thread](benchmarks.svg)

Medians over visits, each a fresh process pinned to as many processors as it has threads. Tokens
are counted with the special ones; {texts}. Ratios are for {corpora}. Cold start is from the start
of the process to its first vector. The bare runtimes get sorted batches of 256 padded tokens;
wrappers run with their defaults.

{table}

{missing}

Where {ours} is worse than a peer:

{worse}
"""

AGREEMENT = """\
## Agreement

Cosines on {n_natural:,} natural texts of 4 to 256 tokens (English, French, code) and {n_odd} odd
ones (empty, one word, repeated, digits, random Unicode). The last column compares the same text
embedded together with all others, alone, and beside the longest one.

{table}
"""

QUALITY = """\
## Quality

Spearman correlation of cosine and human judgement, in hundredths:

{sts}

SciFact by exact cosine, without a store:

{exact}

Search with q8 through the store and the searcher, nDCG@10. The last column is how far hybrid stays
below (-) or gets above (+) the better of its two parts:

{modes}

All measures:

{sets}
"""

PRODUCT = """\
## What people wait for

One thread, q8. Processes from start to end, medians:

{starts}

Conversion from the published files, with an empty cache:

{conversion}

Indexing a folder from nothing, the bare embedding of the same chunks in one call, and indexing once
more with nothing changed:

{index}

Search in a fresh process on {n_chunks:,} chunks: {search_process_s:.3f} s, of which searching
{search_ms:.1f} ms; peak {search_peak_mb:.0f} MB.

10,000 short texts: from Python {python_s:.1f} s and {python_peak_mb:.0f} MB at most; through
`embedwell embed` {command_s:.1f} s and {command_peak_mb:.0f} MB.
"""


def speed(part: Row) -> str:
    """Throughput, latency, cold start and memory of every engine."""
    rows = part["rows"]
    texts = (f"{name}: {c['n_texts']:,} texts of {c['n_tokens']:,} tokens"
             for name, c in part["corpora"].items())  # fmt: skip
    return SPEED.format(
        texts="; ".join(texts),
        corpora=" / ".join(CORPORA),
        table=table(_speed_columns(rows), rows),
        missing="\n".join(f"Left out: {line}." for line in part["missing"]),
        ours=OURS,
        worse="\n".join(f"- {line}" for line in worse_than_a_peer(rows, OURS)) or "- nowhere here",
    )


def _speed_columns(rows: Sequence[Row]) -> list[Column]:
    single = {row["engine"]: row for row in rows if row["n_threads"] == 1}
    return [
        ("engine", _engine),
        *((f"{corpus}, tokens/s", _throughput(corpus)) for corpus in CORPORA),
        *((f"times {name}", _ratios(single[name])) for name in (REFERENCE, DYNAMIC)
          if name in single),
        ("one query p50 / p99 ms", numbers(["query_p50_ms", "query_p99_ms"], 2)),
        ("cold start s", number("cold_start_s", 2)),
        ("RSS loaded / after bulk / peak MB",
         numbers(["rss_loaded_mb", "rss_after_mb", "peak_mb"], 0)),
        ("cosine to sentence-transformers, mean / worst",
         numbers(["cosine_mean", "cosine_worst"], 5)),
    ]  # fmt: skip


def _engine(row: Row) -> str:
    return row["engine"] + ("" if row["n_threads"] == 1 else f", {row['n_threads']} threads")


def _throughput(corpus: str) -> Callable[[Row], str]:
    return lambda row: f"{row['tokens_per_s'][corpus]:,}"


def _ratios(other: Row) -> Callable[[Row], str]:
    of = other["tokens_per_s"]
    return lambda row: " / ".join(f"{row['tokens_per_s'][c] / of[c]:.2f}" for c in CORPORA)


def worse_than_a_peer(rows: Sequence[Row], ours: str) -> list[str]:
    """A line for each measure in which some peer on one thread is better than `ours`."""
    single = [row for row in rows if row["n_threads"] == 1]
    own = next(row for row in single if row["engine"] == ours)
    peers = [row for row in single if not row["engine"].startswith("embedwell")]
    found = []
    for corpus in CORPORA:
        mine = own["tokens_per_s"][corpus]
        theirs = {p["engine"]: p["tokens_per_s"][corpus] for p in peers}
        better = [f"{name} {n:,}" for name, n in theirs.items() if n > mine]
        found += [f"{corpus} tokens/s: {', '.join(better)}; here {mine:,}"] if better else []
    for label, column in LOWER_IS_BETTER.items():
        mine = own[column]
        better = [f"{p['engine']} {p[column]:g}" for p in peers if p[column] < mine]
        found += [f"{label}: {', '.join(better)}; here {mine:g}"] if better else []
    return found


def agreement(part: Row) -> str:
    """Cosine of each quantization to fp32, and of a text alone to itself in company."""
    columns: list[Column] = [
        ("engine", value("engine")),
        ("compared with", value("compared_with")),
        ("natural texts, mean / worst", numbers(["natural_mean", "natural_worst"], 6)),
        ("odd texts, mean / worst", numbers(["odd_mean", "odd_worst"], 5)),
        ("alone and in company, worst", number("company_worst", 7)),
    ]
    return AGREEMENT.format(
        n_natural=part["n_natural"], n_odd=part["n_odd"], table=table(columns, part["rows"])
    )


MEASURES: list[Column] = [
    ("nDCG@10", number("ndcg_10", 1)),
    ("recall@10", number("recall_10", 1)),
    ("MRR@10", number("mrr_10", 1)),
]


def quality(part: Row) -> str:
    """Similarity judgements and retrieval."""
    sts = [{"engine": row["engine"]} | row["spearman"] for row in part["sts"]]
    columns: list[Column] = [(n, number(n, 2)) for n in sts[0] if n != "engine"]
    return QUALITY.format(
        sts=table([("engine", value("engine")), *columns], sts),
        exact=table([("engine", value("engine")), *MEASURES], part["scifact"]),
        modes=_modes(part["search"]),
        sets="\n\n".join(_set(found) for found in part["search"]),
    )


def _modes(sets: Sequence[Row]) -> str:
    rows = [{"set": s["set"]} | {row["mode"]: row["ndcg_10"] for row in s["rows"]} for s in sets]
    modes = [name for name in rows[0] if name != "set"]
    means = {mode: mean(row[mode] for row in rows) for mode in modes}
    columns: list[Column] = [
        ("set", value("set")),
        *((mode, number(mode, 1)) for mode in modes),
        ("hybrid to its better part", _to_better_part),
    ]
    return table(columns, [*rows, {"set": "mean"} | means])


def _to_better_part(row: Row) -> str:
    return f"{row['hybrid'] - max(row['semantic'], row['lexical']):+.1f}"


def _set(found: Row) -> str:
    counts = f"{found['n_questions']:,} questions over {found['n_documents']:,} documents"
    columns: list[Column] = [(f"{found['set']}, {counts}", value("mode")), *MEASURES]
    return table(columns, found["rows"])


def product(part: Row) -> str:
    """Processes, conversion, indexing and searching."""
    starts = [{"process": STARTS[name], "s": s} for name, s in part["starts"].items()]
    folders = [{"folder": "10,000 small files"} | part["many_files"],
               {"folder": "documents and modules"} | part["project"]]  # fmt: skip
    return PRODUCT.format_map(
        part["many_files"]
        | part["bulk_embed"]
        | {
            "starts": table([("process", value("process")), ("s", number("s", 3))], starts),
            "conversion": table(CONVERSION, part["conversion"]),
            "index": table(INDEX, folders),
        }
    )


STARTS = {
    "bare_interpreter_s": "a bare interpreter",
    "help_s": "`embedwell --help`",
    "import_s": "`import embedwell`",
    "embed_one_s": '`embedwell embed "hello world"`',
}
CONVERSION: list[Column] = [
    ("quantization", value("quantization")),
    ("s", number("seconds", 2)),
    ("peak MB", number("peak_mb", 0)),
    ("size on disk MB", number("size_mb", 1)),
]
INDEX: list[Column] = [
    ("folder", value("folder")),
    ("files / chunks", numbers(["n_files", "n_chunks"], 0)),
    ("index s", number("index_s", 1)),
    ("bare embedding s", number("raw_embedding_s", 1)),
    ("share of the bare rate", number("raw_share", 2)),
    ("peak MB", number("index_peak_mb", 0)),
    ("again, unchanged, s", number("reindex_unchanged_s", 2)),
    ("index MB", number("size_mb", 1)),
]

SECTIONS: Mapping[str, Callable[[Row], str]] = {
    "speed": speed,
    "agreement": agreement,
    "quality": quality,
    "product": product,
    "service": service,
    "cache": cache,
    "migration": migration,
    "vector_search": vector_search,
    "postgres": postgres,
    "wrong_readers": wrong_readers,
    "ingestion": ingestion,
    "llama_cpp": llama_cpp,
    "static_models": static_models,
    "text_and_code": text_and_code,
}
