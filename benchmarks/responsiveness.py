"""What going through the service costs: one short text, eight clients, queries beside bulk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any

import numpy as np

from benchmarks.daemon import (
    NO_CACHE,
    Service,
    clients,
    embedwell_service,
    peer_service,
)
from benchmarks.engines import ENGINES, OURS, REFERENCE
from benchmarks.environments import UnavailableError
from benchmarks.memory import cpu_s
from benchmarks.processes import Peer, PeerError, visit
from benchmarks.sharing import at_once, split
from benchmarks.texts import Corpus, save
from embedwell.runtime.batching import TOKENS_PER_BATCH

N_WARM = 20
N_BULK_CLIENTS = 8
N_BULK_PARTS = 4  # the bulk beside queries, a part for each client: the same text is embedded once
SERVICE, IN_PROCESS = "embedwell, through the service", "embedwell, in-process"
PEER_SERVICE, PEER = "FastAPI service, sentence-transformers", REFERENCE


def one_text(queries: Corpus, n_threads: int, repetitions: int) -> dict[str, Any]:
    """Milliseconds of one short text in a call, in a warm process, every text a new one."""
    taken: dict[str, list[float]] = {}
    missing: list[str] = []
    for _ in range(repetitions):
        for name, opened in ONE_TEXT.items():
            if name not in missing:
                print(f"    {name}", flush=True)
                with _noting(name, missing), opened(n_threads) as peer:
                    ms = peer.embed(queries.file, group=1, kind="query")[N_WARM:]
                    taken.setdefault(name, []).extend(ms)
    rows = [{"how": name, **_percentiles(ms)} for name, ms in taken.items()]
    return {"rows": rows, "missing": missing}


def bulk_clients(corpus: Corpus, n_threads: int, repetitions: int) -> dict[str, Any]:
    """The rate of eight clients at once, beside the same texts in one call in-process."""
    files = split(corpus, N_BULK_CLIENTS)
    visits: list[dict[str, float]] = []
    for _ in range(repetitions):
        with visit(ENGINES[OURS], n_threads, NO_CACHE) as alone:
            [ms] = alone.embed(corpus.file)
        with _eight(n_threads) as (service, peers):
            pids = [peer.pid for peer in peers]
            before = [cpu_s(pid) for pid in (*pids, service.pid)]
            shared_ms = max(at_once(peers, files))
            spent = [cpu_s(pid) - b for pid, b in zip((*pids, service.pid), before, strict=True)]
        visits.append({
            "in_process_tokens_per_s": corpus.n_tokens / ms * 1000,
            "service_tokens_per_s": corpus.n_tokens / shared_ms * 1000,
            "share": ms / shared_ms,
            "clients_cpu_s": sum(spent[:-1]),
            "service_cpu_s": spent[-1],
        })  # fmt: skip
    found = {name: round(median(v[name] for v in visits), 3) for name in visits[0]}
    return found | {
        "n_clients": N_BULK_CLIENTS,
        "n_texts": corpus.n_texts,
        "visits_share": [round(v["share"], 3) for v in visits],
    }


def beside_bulk(
    bulk: Corpus, queries: Corpus, few_queries: Corpus, n_threads: int
) -> dict[str, Any]:
    """Milliseconds of short queries while other clients embed 128-token texts all the time.

    The slow peer is asked the few.
    """
    rows: list[dict[str, Any]] = []
    missing: list[str] = []
    for name, opened, n_clients in BESIDE_BULK:
        print(f"    {name}, {n_clients} bulk client(s)", flush=True)
        asked = few_queries if name == PEER_SERVICE else queries
        with _noting(name, missing), opened(n_threads) as service:
            rows.append({"how": name} | _beside_bulk(service, bulk, asked, n_threads, n_clients))
    batch_ms = _batch_ms(bulk, n_threads)
    return {
        "batch_ms": batch_ms,
        "batch_tokens": TOKENS_PER_BATCH,
        "rows": [row | {"bound_ms": round(batch_ms + 3 * row["idle_p50_ms"], 2)} for row in rows],
        "missing": missing,
    }


def _beside_bulk(
    service: Service, bulk: Corpus, queries: Corpus, n_threads: int, n_bulk: int
) -> dict[str, Any]:
    files = split(bulk, N_BULK_PARTS)
    with clients(service, n_bulk + 1, n_threads) as peers:
        asking, working = peers[0], peers[1:]
        idle = asking.embed(queries.file, group=1, kind="query")[N_WARM:]
        done = Event()
        with ThreadPoolExecutor(n_bulk) as threads:
            rounds = [
                threads.submit(_until, done, *each) for each in zip(working, files, strict=False)
            ]
            try:
                busy = asking.embed(queries.file, group=1, kind="query")[N_WARM:]
            finally:
                done.set()
            bulk_ms = [ms for each in rounds for ms in each.result()]
    return {
        "n_bulk_clients": n_bulk,
        "idle_p50_ms": _percentiles(idle)["p50_ms"],
        **_percentiles(busy),
        "bulk_tokens_per_s": round(bulk.n_tokens / N_BULK_PARTS * n_bulk / median(bulk_ms) * 1000),
    }


def _until(done: Event, peer: Peer, file: Path) -> list[float]:
    """Embed the file again and again until told, in calls of 256 texts."""
    taken: list[float] = []
    while not done.is_set():
        taken.append(sum(peer.embed(file, group=256)))
    return taken


def _batch_ms(bulk: Corpus, n_threads: int) -> float:
    """What one batch of 128-token texts takes in-process: how long a query may have to wait."""
    texts = json.loads(bulk.file.read_text("utf-8"))[:200]
    with visit(ENGINES[OURS], n_threads, NO_CACHE) as peer:
        ms = peer.embed(save("batches", texts, 0).file, group=TOKENS_PER_BATCH // 128)
        return round(median(ms[N_WARM:]), 2)


def _percentiles(ms: Sequence[float]) -> dict[str, float]:
    found = {f"p{p}_ms": round(float(np.percentile(ms, p)), 3) for p in (50, 90, 99)}
    return found | {"highest_ms": round(max(ms), 3), "n": len(ms)}


@contextmanager
def _noting(name: str, missing: list[str]) -> Iterator[None]:
    """Leave out what cannot be had here, and say so."""
    try:
        yield
    except (UnavailableError, PeerError) as error:
        missing.append(f"{name}: {error}")


@contextmanager
def _eight(n_threads: int) -> Iterator[tuple[Service, list[Peer]]]:
    with (
        embedwell_service(n_threads, NO_CACHE) as service,
        clients(service, N_BULK_CLIENTS, n_threads) as peers,
    ):
        yield service, peers


def _through(opened: Callable[[int], Any]) -> Callable[[int], Any]:
    @contextmanager
    def one(n_threads: int) -> Iterator[Peer]:
        with ExitStack() as stack:
            service = stack.enter_context(opened(n_threads))
            yield stack.enter_context(clients(service, 1, n_threads))[0]

    return one


def _uncached(n_threads: int) -> Any:
    return embedwell_service(n_threads, NO_CACHE)


ONE_TEXT: dict[str, Callable[[int], Any]] = {
    IN_PROCESS: lambda n_threads: visit(ENGINES[OURS], n_threads, NO_CACHE),
    SERVICE: _through(_uncached),
    PEER_SERVICE: _through(peer_service),
    PEER: lambda n_threads: visit(ENGINES[REFERENCE], n_threads),
}
BESIDE_BULK: tuple[tuple[str, Callable[[int], Any], int], ...] = (
    (SERVICE, _uncached, 1),
    (SERVICE, _uncached, 4),
    (PEER_SERVICE, peer_service, 1),
)
