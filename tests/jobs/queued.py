"""Folders of many kinds of files, queued; workers with a fake engine; what a store holds then."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from embedwell.core.events import Watch
from embedwell.ingest.sources.folder import Folder
from embedwell.ingest.sources.registry import Surroundings, open_source
from embedwell.jobs.work.options import WorkOptions
from embedwell.jobs.work.report import WorkReport
from embedwell.jobs.work.worker import work
from embedwell.stores.protocol import CollectionSettings, Store
from embedwell.stores.registry import create_store
from embedwell.testing import FAKE_SPACE, FakeEmbedder, admitted_fake

KINDS = ("md", "py", "txt", "html", "json", "rst", "ipynb", "toml")
READERS = partial(open_source, around=Surroundings())

# Prints `ready` once its store is open, and works until the queue is drained.
WORKER = """
import sys
from pathlib import Path
from queued import READERS
from embedwell.core.events import Watch
from embedwell.jobs.work.options import WorkOptions
from embedwell.jobs.work.worker import work
from embedwell.stores.registry import open_store
from embedwell.testing import admitted_fake

store = open_store(sys.argv[1])
options = WorkOptions(READERS, batch_size=int(sys.argv[2]), lease_s=float(sys.argv[3]))
print("ready", flush=True)
work(store, lambda: admitted_fake(store), Watch(), options)
"""


def new_store(target: str | Path) -> Store:
    return create_store(target, CollectionSettings(FAKE_SPACE, 40))


def make_files(folder: Path, n: int, seed: int = 0) -> None:
    """Small files of mixed kinds; one in twenty is another's copy, one in fifty has no text."""
    drawn = random.Random(seed)
    for number in range(n):
        place = folder / f"{number % 40:02}"
        place.mkdir(parents=True, exist_ok=True)
        of = number - number % 20 if not number % 19 else number
        words = " ".join(f"word{drawn.randrange(2000)}" for _ in range(drawn.randrange(5, 60)))
        text = "" if not number % 50 else f"thing {of} {'copied' if of != number else words}"
        kind = KINDS[number % len(KINDS)]
        (place / f"{number:06}.{kind}").write_text(_written(kind, text))


def enqueue(store: Store, folder: Path, canary_at: int = 0) -> int:
    """Queue the files of a folder; gives how many."""
    found = store.queue.sources()
    where = str(folder)
    source = found[0] if found else store.queue.add_source("folder", "files", where, "", {})
    run = store.queue.open_run(canary_at)
    return store.queue.enqueue(source.number, run.number, Folder(folder).items(_ignore))


def worked(
    store: Store, embedder: FakeEmbedder | None = None, watch: Watch | None = None, **options: Any
) -> WorkReport:
    """Work the queue off here."""
    chosen = WorkOptions(**{"readers": READERS} | options)
    return work(store, lambda: admitted_fake(store, embedder), watch or Watch(), chosen)


def contents(store: Store) -> Mapping[str, list[tuple[Any, ...]]]:
    """Every document's passages with their places, texts and vectors."""
    main = store.spaces.main()
    found: dict[str, list[tuple[Any, ...]]] = {}
    for key in store.stats():
        passages = store.passages(key)
        ids = [passage.id for passage in passages]
        vectors = store.spaces.vectors(main.number, ids) if ids else []
        found[key] = [
            (passage.chunk.start, passage.chunk.end, passage.chunk.text, vector.tobytes())
            for passage, vector in zip(passages, vectors, strict=True)
        ]
    return found


def statuses(store: Store) -> Mapping[str, int]:
    """How many rows of each status there are."""
    found: dict[str, int] = {}
    for row in store.queue.tally():
        found[row.status] = found.get(row.status, 0) + row.n
    return found


def _written(kind: str, text: str) -> str:
    if kind == "ipynb":
        cell = {"cell_type": "markdown", "metadata": {}, "source": [text]}
        return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    forms = {
        "md": "# Title\n\n{}\n",
        "py": 'def thing():\n    """{}"""\n    return 1\n',
        "html": "<html><body><p>{}</p></body></html>",
        "json": '{{"thing": "{}"}}\n',
        "toml": 'thing = "{}"\n',
    }
    return forms.get(kind, "{}\n").format(text)


def _ignore(skipped: object) -> None:
    del skipped
