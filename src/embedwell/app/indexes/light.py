"""The light space of an index: searched while the main model does not fit."""

from __future__ import annotations

import logging

from embedwell.app.indexes.embedders import Embedders
from embedwell.core.errors import EmbedwellError, EngineMemoryError, OverBudgetError, PressureError
from embedwell.core.events import Watch
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.jobs.fill import fill_space
from embedwell.stores.protocol import Store
from embedwell.stores.spaces import StoredSpace

_log = logging.getLogger("embedwell")

DOES_NOT_FIT = (OverBudgetError, PressureError, EngineMemoryError)


def light_embedder(
    store: Store, embedders: Embedders, error: EmbedwellError
) -> tuple[AdmittedEmbedder, str]:
    """The light space's embedder, and why it is used.

    Args:
        store: Whose space.
        embedders: Of that store.
        error: Why the main model cannot be used; raised where there is no light space.
    """
    stored = _light_space(store)
    if stored is None:
        raise error
    missing = store.spaces.n_missing(stored.number)
    lacks = f" {missing:,} passages are not in it yet." if missing else ""
    notice = f"Searched in the light space ({stored.space.model}): {error.problem}{lacks}"
    return embedders.of(stored, Watch()), notice


def has_light(store: Store) -> bool:
    """Whether a store has a light space."""
    return _light_space(store) is not None


def fill_light(store: Store, embedders: Embedders, watch: Watch) -> None:
    """Bring the light space up to date with what was just written, if there is one."""
    stored = _light_space(store)
    if stored is None or not store.spaces.n_missing(stored.number):
        return
    try:
        fill_space(store, embedders.of(stored, watch), watch)
    except DOES_NOT_FIT as error:
        _log.warning("The light space is behind until the next write: %s", error.problem)


def _light_space(store: Store) -> StoredSpace | None:
    return next((one for one in store.spaces.all() if one.role == "light"), None)
