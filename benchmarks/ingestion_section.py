"""The section of the page that speaks of ingestion."""

from __future__ import annotations

from benchmarks.tables import Column, Row, number, table, value

TEXT = """\
## Ingestion of many small files

A generated tree of {n_files:,} files of 20 to 40 words in {n_folders:,} folders, up to 60 deep; a
twelfth are ignored by `.gitignore`, as many are of binary kinds. Where it says "stand-in", no model
runs: a vector is a sum over the words of a text, which takes 20 µs, so that what is seen is the
pipeline: walk, queue, claim, read, cut, write. Transactions are durable (`fsync`), and the server
of PostgreSQL runs on the same {n_cores} cores.

### All files once, again, and with one in a hundred changed (stand-in, one worker)

{whole}

Memory of a worker that works them off, in MB: {rss}. A sweep took {bytes_per_file} bytes at its
highest for each file.

### What one store takes from several writers (stand-in)

{ceiling}

### `embedwell index --workers N` with all-MiniLM-L6-v2 at q8, process start and end included

{real}

### Two machines (network namespaces), one PostgreSQL, a reader that searches meanwhile

{machines}

### End to end beside the bare embedding of the same chunks (q8, one thread embeds)

{shares}

### Beside what people write

{peer}
"""
MACHINES = """\
In one run of {n_documents:,} documents, with an engine that takes {ms_per_text:g} ms a text and no
processor: four workers do {ratio:.1f} times what one does.

{table}
"""
PEER = """\
LangChain's indexing API with its `SQLRecordManager`, fastembed (one thread) and Chroma, {n:,} files
of the tree above:

{table}
"""


def ingestion(part: Row) -> str:
    """What many files take, and where it ends."""
    whole = part["whole"]
    return TEXT.format(
        n_files=part["n_files"],
        n_folders=part["n_folders"],
        n_cores=part["n_cores"],
        whole=table(WHOLE, whole),
        rss="; ".join(_rss(row) for row in whole),
        bytes_per_file=" and ".join(str(row["bytes_per_file"]) for row in whole),
        ceiling=table([*WORKERS, ("chunks/s", number("chunks_per_s", 0))], part["ceiling"]),
        real=table([*WORKERS, ("s", number("seconds", 1))], part["real"]),
        machines=_machines(part["machines"]),
        shares=table(SHARES, part["shares"]),
        peer=_peer(part["peer"]),
    )


def _rss(row: Row) -> str:
    start, *later = (f"{mb:.0f}" for mb in row["rss_mb"])
    return f"{row['store']} {start} at its begin, then {', '.join(later)}"


def _machines(part: Row) -> str:
    if "missing" in part:
        return f"Left out: {part['missing']}."
    rows = [{"n_workers": n} | part[name] for n, name in ((1, "one_worker"), (4, "four_workers"))]
    columns: list[Column] = [
        ("workers", value("n_workers")),
        ("documents/s", number("documents_per_s", 0)),
        ("searches", number("n_searches", 0)),
        ("p50 ms", number("search_p50_ms", 1)),
        ("p95 ms", number("search_p95_ms", 1)),
    ]
    return MACHINES.format_map(dict(part) | {"table": table(columns, rows)})


def _peer(part: Row) -> str:
    if "missing" in part:
        return f"Left out: {part['missing']}."
    rows = [part[name] | {"run": label} for name, label in RUNS.items()]
    columns: list[Column] = [
        ("run", value("run")),
        ("s", number("seconds", 2)),
        ("files/s", lambda row: f"{row['n'] / row['seconds']:,.0f}"),
        ("share of its bare rate", lambda row: _share(row) if row["run"] == "first" else "-"),
    ]
    return PEER.format(n=part["first"]["n"], table=table(columns, rows))


def _share(row: Row) -> str:
    return f"{row['raw_s'] / row['seconds']:.2f}"


RUNS = {"first": "first", "again": "unchanged", "changed": "one in a hundred changed"}
WHOLE: list[Column] = [
    ("store", value("store")),
    ("files", number("n_files", 0)),
    ("walked /s", number("walk_files_per_s", 0)),
    ("walked, compared and queued /s", number("queued_files_per_s", 0)),
    ("worked off /s", number("documents_per_s", 0)),
    ("unchanged s", number("unchanged_s", 2)),
    ("changed / worked off", lambda row: f"{row['n_changed']:,} / {row['n_changed_done']:,}"),
    ("s", number("changed_s", 1)),
]
WORKERS: list[Column] = [
    ("store", value("store")),
    ("workers", value("n_workers")),
    ("documents", number("n_documents", 0)),
    ("documents/s", number("documents_per_s", 0)),
]
SHARES: list[Column] = [
    ("folder", value("folder")),
    ("cores", value("n_cores")),
    ("files", number("n_files", 0)),
    ("chunks", number("n_chunks", 0)),
    ("index s", number("index_s", 1)),
    ("bare embedding s", number("raw_embedding_s", 1)),
    ("share of the bare rate", number("raw_share", 2)),
    ("peak MB", number("index_peak_mb", 0)),
]
