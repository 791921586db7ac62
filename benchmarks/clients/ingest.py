"""One worker, or a sweep, with a stand-in for the model: what the pipeline alone can do.

    python -m benchmarks.clients.ingest sweep|work TARGET FOLDER

Its vectors are sums over words from a table, so that embedding takes next to nothing.
A worker says `ready` once it is loaded and begins when it is sent a line.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from embedwell.core.embedded import Embedded
from embedwell.core.errors import StoreNotFoundError
from embedwell.core.events import Watch
from embedwell.core.space import Kind
from embedwell.core.vectors import IntArray, normalized
from embedwell.handshake.admit import admitted
from embedwell.ingest.sources.folder import Folder
from embedwell.ingest.sources.registry import Surroundings, open_source
from embedwell.jobs.index import Listing, index_sources
from embedwell.jobs.sweeping.sweep import Sweeping
from embedwell.jobs.work.worker import WorkOptions, work
from embedwell.models.catalogue import card
from embedwell.stores.protocol import CollectionSettings, Store
from embedwell.stores.registry import create_store, open_store
from embedwell.testing import FAKE_BUILD, word_starts

MODEL = "all-MiniLM-L6-v2"
N_VECTORS = 4_096


class StandIn:
    """A `TextEmbedder` that adds up a vector for each word: 20 µs a text."""

    def __init__(self) -> None:
        self.space = card(MODEL).space
        shape = (N_VECTORS, self.space.dimensions)
        self._rows = normalized(np.random.default_rng(1).standard_normal(shape, np.float32))

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """A row for each text, always the same one."""
        del kind
        watch.check("embed")
        words = [text.lower().split() or [""] for text in texts]
        vectors = np.array([self._rows[[_place(w) for w in some]].sum(axis=0) for some in words])
        n_tokens = np.array([len(some) + 2 for some in words], np.int64)
        return Embedded(normalized(vectors), n_tokens, 0, FAKE_BUILD)

    def token_starts(self, text: str) -> IntArray:
        """Every word is one token."""
        return word_starts(text)

    def close(self) -> None:
        """Nothing is held."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("act", choices=("sweep", "work"))
    parser.add_argument("target")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    with closing(_store(options.target)) as store:
        act = _sweep if options.act == "sweep" else _work
        print(json.dumps(act(store, options.target, options.folder)), flush=True)


def _place(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "replace")) % N_VECTORS


def _store(target: str) -> Store:
    try:
        return open_store(target)
    except StoreNotFoundError:
        return create_store(target, CollectionSettings(card(MODEL).space, 250))


def _sweep(store: Store, _target: str, folder: Path) -> dict[str, Any]:
    began = time.perf_counter()
    n_walked = sum(1 for _ in Folder(folder).items(lambda _: None))
    walk_s = time.perf_counter() - began
    known, place = store.queue.sources(), str(folder)
    source = known[0] if known else store.queue.add_source("folder", "tree", place, "here", {})
    listing = Listing(source, lambda: Folder(folder))
    report = index_sources(store, [listing], None, Watch(), Sweeping(0))
    return {
        "n_files": n_walked,
        "walk_s": walk_s,
        "sweep_s": report.took_s,
        "n_queued": report.n_queued,
    }


def _work(store: Store, target: str, folder: Path) -> dict[str, Any]:
    number = store.spaces.main().number
    embedder = admitted(store, number, StandIn(), (), target)
    embedder.greet(Watch())
    around = Surroundings(moved={"tree": folder})
    options = WorkOptions(partial(open_source, around=around), reopen=partial(open_store, target))
    print("ready", flush=True)
    input()
    began = time.time()
    report = work(store, lambda: embedder, Watch(), options)
    return {
        "began": began,
        "ended": time.time(),
        "n_documents": report.n_added + report.n_updated,
        "n_chunks": report.n_chunks,
    }


if __name__ == "__main__":
    main()
