"""Indexes with an ingestion half-way, made without a model."""

from __future__ import annotations

import os
from pathlib import Path

from indexes import make_index

from embedwell.app.config.place import default_file
from embedwell.stores.queue import Item, Outcome, Times, Worker
from embedwell.stores.registry import open_store

N_ROWS = 40
BROKEN = "The PDF is broken ({}: no end). Get it again."


def make_run(place: Path) -> Path:
    """An index whose run has finished 16 of 40 rows: 10 done, 4 skipped, 2 failed; 4 leased."""
    make_index(place)
    store = open_store(default_file(place))
    queue = store.queue
    queue.report(Worker("busy", "here", os.getpid(), state="working", rss_bytes=200 << 20))
    source = queue.add_source("folder", "library", str(place), "here", {})
    run = queue.open_run(0)
    items = [Item(f"library:{n}.pdf", "pdf", 1000 + n, n) for n in range(N_ROWS)]
    queue.enqueue(source.number, run.number, items)
    tasks = queue.claim("busy", 20, 600.0)
    took = Times(embed_s=0.01)
    outcomes = [Outcome(task, "done", n_chunks=3, times=took) for task in tasks[:10]]
    outcomes += [Outcome(task, "skipped", "has the bytes that are stored") for task in tasks[10:14]]
    outcomes += [Outcome(task, "failed", BROKEN.format(task.item.key)) for task in tasks[14:16]]
    store.put([], outcomes=outcomes)
    store.close()
    return place


def finish_run(place: Path) -> None:
    """Let the rest of it be done."""
    store = open_store(default_file(place))
    store.queue.release("busy")
    tasks = store.queue.claim("busy", N_ROWS, 600.0)
    store.put([], outcomes=[Outcome(task, "done", n_chunks=3) for task in tasks])
    store.queue.close_run()
    store.close()
