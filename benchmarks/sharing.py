"""What three processes that embed at once take of the machine: sharing a service, or each alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.daemon import Service, clients, copies, embedwell_service, peer_service
from benchmarks.engines import ENGINES, OURS, REFERENCE
from benchmarks.environments import UnavailableError
from benchmarks.memory import PSS_EVERY_S, Sampler, added, by_kind, footprint, together
from benchmarks.processes import Peer, PeerError
from benchmarks.texts import Corpus, save

N_CLIENTS = 3


@dataclass(frozen=True)
class Setup:
    """Processes that embed, and the service that they share, if they do."""

    name: str
    peers: Sequence[Peer]
    service: Service | None


def sharing(corpus: Corpus, n_threads: int) -> dict[str, Any]:
    """Each arrangement on the same texts, split evenly between its processes."""
    files = split(corpus, N_CLIENTS)
    rows, missing = [], []
    for name, open_setup in SETUPS.items():
        print(f"    {name}", flush=True)
        try:
            with open_setup(n_threads) as (peers, service):
                rows.append(_measure(Setup(name, peers, service), files))
        except (UnavailableError, PeerError) as error:
            missing.append(f"{name}: {error}")
    return {"n_texts": corpus.n_texts, "rows": rows, "missing": missing}


def split(corpus: Corpus, n_parts: int) -> list[Path]:
    """The texts of a corpus dealt out into files."""
    texts = json.loads(corpus.file.read_text("utf-8"))
    return [save(f"{corpus.name} part {i + 1}", texts[i::n_parts], 0).file for i in range(n_parts)]


def at_once(peers: Sequence[Peer], files: Sequence[Path]) -> list[float]:
    """Let each peer embed its file, all at the same time; the milliseconds of each."""
    with ThreadPoolExecutor(len(peers)) as threads:
        return list(threads.map(lambda peer, file: peer.embed(file)[0], peers, files))


def _measure(setup: Setup, files: Sequence[Path]) -> dict[str, Any]:
    pids = [peer.pid for peer in setup.peers]
    served = [setup.service.pid] if setup.service else []
    with Sampler(lambda: [footprint(pid) for pid in (*served, *pids)], PSS_EVERY_S) as sampler:
        began = time.perf_counter()
        at_once(setup.peers, files)
        seconds = time.perf_counter() - began
    highest = max(sampler.found, key=lambda each: added(each).pss_mb)
    found = {
        "setup": setup.name,
        "seconds": round(seconds, 2),
        "highest": asdict(added(highest)),
        "highest_each_pss_mb": [one.pss_mb for one in highest],  # the service first
        "after": asdict(together([*pids, *served])),
        "client": asdict(footprint(pids[0])),
        "client_kinds": by_kind(pids[0]),
    }
    if setup.service:
        found["service"] = asdict(footprint(setup.service.pid))
        for peer in setup.peers:
            peer.close()
        found["service_alone"] = asdict(footprint(setup.service.pid))
        found["service_kinds"] = by_kind(setup.service.pid)
    return found


@contextmanager
def _shared(n_threads: int) -> Iterator[tuple[list[Peer], Service | None]]:
    with embedwell_service(n_threads) as service, clients(service, N_CLIENTS, n_threads) as peers:
        yield peers, service


@contextmanager
def _peer_shared(n_threads: int) -> Iterator[tuple[list[Peer], Service | None]]:
    with peer_service(n_threads) as service, clients(service, N_CLIENTS, n_threads) as peers:
        yield peers, service


def _alone(engine: str) -> Callable[[int], Any]:
    @contextmanager
    def opened(n_threads: int) -> Iterator[tuple[list[Peer], Service | None]]:
        each = max(1, n_threads // N_CLIENTS)  # more threads than processors slow torch down 10 x
        with copies(ENGINES[engine], N_CLIENTS, each, n_processors=n_threads) as peers:
            yield peers, None

    return opened


SHARED = "three clients of `embedwell serve`"
COPIES = "three in-process copies of embedwell"
SETUPS = {
    SHARED: _shared,
    COPIES: _alone(OURS),
    "three clients of a FastAPI service with sentence-transformers": _peer_shared,
    "three sentence-transformers processes": _alone(REFERENCE),
}
