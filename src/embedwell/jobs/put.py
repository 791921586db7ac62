"""Embed prepared documents and store them, whichever spaces the store is at by then."""

from __future__ import annotations

from collections.abc import Sequence

from embedwell.core.errors import SpaceMovedError
from embedwell.core.events import Watch
from embedwell.ingest.embed import Filled, fill
from embedwell.ingest.lanes import LoadEmbedder, lanes_of
from embedwell.ingest.prepare import Prepared
from embedwell.stores.protocol import Store

__all__ = ["LoadEmbedder", "embed_and_put"]

# Migrations end minutes apart at least; a store that moves on more often than this is broken.
_TRIES = 3


def embed_and_put(
    prepared: Sequence[Prepared], store: Store, load_embedder: LoadEmbedder, watch: Watch
) -> Filled:
    """Embed documents for the spaces that hold their kinds and store them in one transaction.

    Where a migration ends in between, they are embedded anew for the new space.

    Raises:
        DriftError: The embedder's build is not fit for the store.
        StoreError: The store could not be written.
        TaskCancelledError: `watch` was asked to stop; nothing was stored.
    """
    for left in reversed(range(_TRIES)):
        try:
            lanes = lanes_of(store, load_embedder)
            filled = fill(prepared, lanes, store, watch)
            main, code = lanes.main.embedder.number, lanes.code_number
            store.put(filled.documents, space=main, code=code)
        except SpaceMovedError:
            if not left:
                raise
        else:
            return filled
    raise AssertionError  # the loop returns or raises
