"""What `Index.migrate` is made of: which model, how much it takes, and whose embedder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from msgspec import structs

from embedwell.app.choose import quantization_for
from embedwell.app.embedders import Embedders
from embedwell.app.settings import Settings
from embedwell.app.sizes import format_bytes
from embedwell.core.errors import MigrationError, StoreFullError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.jobs.migrate import Plan, found_space, plan
from embedwell.models.heads import check_head
from embedwell.models.known import Known
from embedwell.stores.protocol import Store
from embedwell.stores.spaces import StoredSpace


@dataclass(frozen=True)
class Target:
    """Where a migration goes.

    Attributes:
        space: The new space.
        artifact: Name of what computes it here, such as `all-MiniLM-L6-v2@q8`.
        settings: The index's, with this model and quantization.
    """

    space: Space
    artifact: str
    settings: Settings


def target_named(settings: Settings, name: str) -> Target:
    """The target of `--to MODEL[@quantization]`.

    Raises:
        UnknownModelError: The catalogue has no such model.
        WrongTaskError: It scores pairs of texts.
    """
    card, level = Known(settings.cache).named(name)
    check_head(card, "embedding")
    settings = structs.replace(settings, model=card.name, quantization=level or "auto")
    chosen = quantization_for(settings, card).quantization
    settings = structs.replace(settings, quantization=chosen)
    return Target(card.space, f"{card.name}@{chosen}", settings)


def look_ahead(
    store: Store, embedders: Embedders, to: Target, *, keep_both: bool, watch: Watch
) -> Plan:
    """What a migration would take; see `Index.plan_migration`."""
    filled = found_space(store, to.space, to.artifact, keep_both=keep_both)
    embedder = embedders.unadmitted(to.settings, watch)
    try:
        found = plan(store, to.space, filled, embedder)
    finally:
        embedder.close()
    free = store.free_bytes()
    if free is not None and free < found.bytes:
        raise StoreFullError(
            f"The new vectors take about {format_bytes(found.bytes)}, and "
            f"{format_bytes(free)} are free.",
            "Free some space first.",
        )
    return found


def embedder_for(
    store: Store, embedders: Embedders, to: Target, *, keep_both: bool, watch: Watch
) -> AdmittedEmbedder:
    """The embedder of the space that a migration fills, which is added where it is missing.

    Raises:
        MigrationError: It cannot be done as asked.
    """
    stored = found_space(store, to.space, to.artifact, keep_both=keep_both)
    if stored is None:
        role: Literal["next", "light"] = "light" if keep_both else "next"
        stored = store.spaces.add(to.space, role, to.artifact)
    return embedders.of(stored, watch, to.settings)


def drop(store: Store, role: Literal["next", "light", "kept"]) -> list[StoredSpace]:
    """Drop the vectors of all spaces with a role; see `Index.drop_space`."""
    gone = [stored for stored in store.spaces.all() if stored.role == role]
    if not gone:
        raise MigrationError(f"The index has no '{role}' space.", "See `embedwell status`.")
    for stored in gone:
        store.spaces.drop(stored.number)
    store.compact()
    return gone
