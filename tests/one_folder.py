"""Index one folder with everything in place: sweep it, then work the queue off here."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from embedwell.core.events import Watch
from embedwell.ingest.sources.folder import Folder
from embedwell.ingest.sources.registry import Surroundings, open_source
from embedwell.jobs.index import IndexReport, Listing, index_sources
from embedwell.jobs.put import LoadEmbedder
from embedwell.jobs.sweeping.sweep import Sweeping
from embedwell.jobs.work.worker import WorkOptions, work
from embedwell.stores.protocol import Store
from embedwell.stores.queue import Source


def index_folder(
    folder: Path,
    store: Store,
    load_embedder: LoadEmbedder,
    size_factor: float = 1.0,
    watch: Watch | None = None,
    *,
    canary_at: int = 0,
    all_anew: bool = False,
) -> IndexReport:
    """Index an existing folder; the settings are those of `Sweeping`."""
    reader = Folder(folder, size_factor)
    source = folder_source(store, folder.resolve().name)
    around = Surroundings(size_factor=size_factor, moved={source.name: folder})
    options = WorkOptions(partial(open_source, around=around))
    return index_sources(
        store,
        [Listing(source, lambda: reader)],
        lambda watch: work(store, load_embedder, watch, options),
        watch or Watch(),
        Sweeping(canary_at, all_anew=all_anew),
    )


def folder_source(store: Store, name: str) -> Source:
    """The one source of a store, made if it is not there: the folder that the index lies in."""
    sources = store.queue.sources()
    return sources[0] if sources else store.queue.add_source("folder", name, "", "here", {})
