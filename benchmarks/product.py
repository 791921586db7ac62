"""What people wait for: commands in fresh processes, conversion, indexing, searching."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.datasets import cosqa, piaf, scifact
from benchmarks.engines import ENGINES, OURS
from benchmarks.environments import MODEL, published
from benchmarks.paths import work
from benchmarks.processes import Finished, run, visit
from benchmarks.texts import Corpus, cut, passages, save, word_marks

N_STARTS = 15
N_FILES = 10_000
QUERIES = (
    "how do cells repair damaged DNA",
    "histoire du royaume de France",
    "parse a json string into a dictionary",
    "effect of vitamin D on bone density",
    "compétition de football en Europe",
    "remove duplicates from a list",
    "risk factors for type 2 diabetes",
)


def measure(corpora: dict[str, Corpus], data: Path) -> dict[str, Any]:
    """All of it, one thread; returns what JSON keeps."""
    results: dict[str, Any] = {}
    for name, part in (
        ("starts", starts),
        ("conversion", conversion),
        ("bulk_embed", lambda: bulk_embed(corpora["10,000 short"])),
        ("many_files", lambda: folder_times(lambda folder: many_files(data, folder))),
        ("project", lambda: folder_times(lambda folder: project(data, folder))),
    ):
        print(f"  {name}", flush=True)
        results[name] = part()
    return results


def starts() -> dict[str, float]:
    """Seconds of short-lived processes, medians of interleaved runs."""
    python = Path(sys.executable)
    commands: dict[str, Sequence[str | Path]] = {
        "bare_interpreter_s": [python, "-c", "pass"],
        "help_s": [command(), "--help"],
        "import_s": [python, "-c", "import embedwell"],
        "embed_one_s": [command(), "embed", "--quantization", "q8", "--json", "hello world"],
    }
    for words in commands.values():
        run(words)  # the page cache and byte code are warm from here on
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(N_STARTS):
        for name, words in commands.items():
            taken[name].append(run(words).seconds)
    return {name: round(median(all_), 3) for name, all_ in taken.items()}


def conversion() -> list[dict[str, Any]]:
    """Published files to artifact, with an empty cache: seconds, memory and size on disk."""
    rows = []
    for quantization in ("q32", "q16", "q8", "q4"):
        cache = work("conversion", "_").parent
        words = [command(), "models", "pull", MODEL, "--quantization", quantization]
        done = run(words, extra={"EMBEDWELL_CACHE": str(cache)})
        files = [f for folder in (cache / "artifacts").glob("*@*") for f in folder.iterdir()]
        size_mb = round(sum(file.stat().st_size for file in files) / 1e6, 1)
        rows.append({"quantization": quantization, "seconds": round(done.seconds, 2),
                     "peak_mb": done.peak_mb, "size_mb": size_mb})  # fmt: skip
        shutil.rmtree(cache)
    return rows


def bulk_embed(corpus: Corpus) -> dict[str, float]:
    """10,000 short texts with q8, from Python and through the command's standard input."""
    with visit(ENGINES[OURS]) as peer:
        [ms] = peer.embed(corpus.file)
        memory = peer.memory()
    lines = work("texts", "lines.txt")
    texts = [" ".join(text.split()) for text in json.loads(corpus.file.read_text("utf-8"))]
    lines.write_text("\n".join(texts) + "\n", "utf-8")
    done = run([command(), "embed", "--quantization", "q8", "--json"], stdin=lines)
    assert done.output.count("\n") == len(texts)
    return {
        "python_s": round(ms / 1000, 2),
        "python_peak_mb": memory.peak_mb,
        "command_s": round(done.seconds, 2),
        "command_peak_mb": done.peak_mb,
    }


def folder_times(fill: Callable[[Path], None], n_processors: int = 1) -> dict[str, Any]:
    """Index a folder from nothing, once more unchanged, search it, embed the same chunks bare.

    One thread embeds, whatever the number of processors.
    """
    with TemporaryDirectory() as outside:  # `.bench` is ignored by git, and so by the walk
        folder, db = Path(outside) / "folder", Path(outside) / "index.db"
        folder.mkdir()
        fill(folder)
        index = [command(), "index", folder, "--db", db]
        first = run(index, n_processors=n_processors)
        again = [run(index).seconds for _ in range(3)]
        texts = _embedded_texts(db)
        raw_s = _embed_s(texts)
        return {
            "n_files": sum(1 for path in folder.rglob("*") if path.is_file()),
            "n_chunks": len(texts),
            "index_s": round(first.seconds, 2),
            "index_peak_mb": first.peak_mb,
            "raw_embedding_s": round(raw_s, 2),
            "raw_share": round(raw_s / first.seconds, 3),
            "reindex_unchanged_s": round(median(again), 2),
            "size_mb": round(db.stat().st_size / 1e6, 1),
        } | _search_times(db)


def _search_times(db: Path) -> dict[str, float]:
    done = [_search(db, query) for query in QUERIES for _ in range(2)]
    return {
        "search_process_s": round(median(finished.seconds for finished in done), 3),
        "search_ms": round(median(json.loads(f.output)["took_ms"] for f in done), 2),
        "search_peak_mb": max(finished.peak_mb for finished in done),
    }


def _search(db: Path, query: str) -> Finished:
    return run([command(), "search", query, "--db", db, "--json"])


def _embedded_texts(db: Path) -> list[str]:
    """What was embedded of each chunk: its title, where it has one, and the passage."""
    with sqlite3.connect(db) as connection:
        rows = connection.execute("SELECT title, text FROM chunks ORDER BY id").fetchall()
    connection.close()
    return [f"{title}\n{text}" if title else text for title, text in rows]


def _embed_s(texts: list[str]) -> float:
    """Seconds of one call, loading left out: the least that indexing could take."""
    with visit(ENGINES[OURS]) as peer:
        [ms] = peer.embed(save("chunks", texts, 0).file)
        return ms / 1000


def many_files(data: Path, folder: Path) -> None:
    """10,000 files of one chunk each: 20 to 80 tokens of prose or code."""
    drawn = random.Random(4)
    mark = word_marks(published() / "tokenizer.json")
    lengths = [drawn.randint(20, 80) for _ in range(N_FILES)]
    for i, text in enumerate(cut(passages(data), lengths, mark, seed="files")):
        file = folder / f"{i // 100:02d}" / f"{i % 100:02d}.md"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")


def project(data: Path, folder: Path) -> None:
    """Documents of usual sizes: 70 of abstracts, 50 of articles, 70 modules of functions."""
    for name, suffix, texts, per_file, n_files in (
        ("abstracts", "md", scifact(data).documents.values(), 8, 70),
        ("articles", "md", piaf(data).documents.values(), 7, 50),
        ("modules", "py", cosqa(data).documents.values(), 12, 70),
    ):
        (folder / name).mkdir()
        parts = [_section(text) if suffix == "md" else text for text in texts]
        for i in range(n_files):
            content = "\n\n\n".join(parts[i * per_file : (i + 1) * per_file])
            (folder / name / f"{i:03d}.{suffix}").write_text(content, "utf-8")


def _section(text: str) -> str:
    """A Markdown section headed by the text's first line or words."""
    head, _, rest = text.partition("\n")
    return f"## {head}\n\n{rest}" if rest else f"## {' '.join(text.split()[:6])}\n\n{text}"


def command() -> Path:
    """The installed `embedwell`."""
    return Path(sys.executable).parent / ("embedwell.exe" if os.name == "nt" else "embedwell")
