"""A worker or a reader of a store on another machine.

    python -m benchmarks.clients.networked work TARGET MS_PER_TEXT
    python -m benchmarks.clients.networked read TARGET

A worker's engine is a stand-in that takes a fixed time for each text without using a processor, as
an accelerator or a service elsewhere does. A reader searches until its input ends, and prints how
long each search took and when it began.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial

from benchmarks.clients.ingest import StandIn
from embedwell.core.embedded import Embedded
from embedwell.core.events import Watch
from embedwell.core.space import Kind
from embedwell.handshake.admit import admitted
from embedwell.ingest.sources.registry import Surroundings, open_source
from embedwell.jobs.work.worker import WorkOptions, work
from embedwell.stores.protocol import Filter, Store
from embedwell.stores.registry import open_store


class Paced(StandIn):
    """A stand-in that takes its time."""

    def __init__(self, ms_per_text: float) -> None:
        super().__init__()
        self._s_per_text = ms_per_text / 1000

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Rows as the stand-in gives them, later."""
        watch.cancelled.wait(self._s_per_text * len(texts))
        return super().embed(texts, kind, watch)


def main() -> None:
    act, target, *more = sys.argv[1:]
    store = open_store(target)
    print("ready", flush=True)
    if act == "read":
        print(json.dumps(_read(store)), flush=True)
        return
    engine = Paced(float(more[0]))
    embedder = admitted(store, store.spaces.main().number, engine, (), target)
    options = WorkOptions(partial(open_source, around=Surroundings()))
    report = work(store, lambda: embedder, Watch(), options)
    print(json.dumps({"n_done": report.n_done, "n_chunks": report.n_chunks}), flush=True)


def _read(store: Store) -> list[tuple[float, float, int]]:
    ended = threading.Event()

    def wait() -> None:
        while os.read(0, 1):
            pass
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    engine, found = StandIn(), []
    words = ["light", "water", "cells", "energy", "history", "river", "music", "number"]
    while not ended.is_set():
        at = len(found)
        query = f"{words[at % len(words)]} {words[at // len(words) % len(words)]}"
        began = time.perf_counter()
        vector = engine.embed([query], "query", Watch()).vectors[0]
        nearest = store.nearest(vector, 10, Filter())
        store.matching(query, 10, Filter())
        n = len(store.chunks(nearest.ids.tolist()))
        found.append((time.time(), time.perf_counter() - began, n))
    return found


if __name__ == "__main__":
    main()
