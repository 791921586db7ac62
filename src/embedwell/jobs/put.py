"""Embed prepared documents and store them, whichever space the store is at by then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from embedwell.core.errors import SpaceMovedError
from embedwell.core.events import Watch
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.ingest.embed import Filled, fill
from embedwell.ingest.prepare import Prepared
from embedwell.stores.protocol import Store

LoadEmbedder: TypeAlias = Callable[[], AdmittedEmbedder]
"""Gives the embedder of the store's main space; cheap where it is loaded already."""

# Migrations end minutes apart at least; a store that moves on more often than this is broken.
_TRIES = 3


def embed_and_put(
    prepared: Sequence[Prepared], store: Store, load_embedder: LoadEmbedder, watch: Watch
) -> Filled:
    """Embed documents for the main space and store them in one transaction.

    Where a migration ends in between, they are embedded anew for the new space.

    Raises:
        DriftError: The embedder's build is not fit for the store.
        StoreError: The store could not be written.
        TaskCancelledError: `watch` was asked to stop; nothing was stored.
    """
    for left in reversed(range(_TRIES)):
        embedder = load_embedder()
        try:
            filled = fill(prepared, embedder, store, watch)
            store.put(filled.documents, space=embedder.number)
        except SpaceMovedError:
            if not left:
                raise
        else:
            return filled
    raise AssertionError  # the loop returns or raises
