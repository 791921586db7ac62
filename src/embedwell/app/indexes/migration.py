"""What `Index.migrate` is made of: which model, how much it takes, and whose embedder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from msgspec import structs

from embedwell.app.config.settings import Settings
from embedwell.app.config.sizes import format_bytes
from embedwell.app.indexes.embedders import Embedders
from embedwell.app.models.choose import artifact_name, quantization_for
from embedwell.app.models.obtain import named
from embedwell.core.errors import DriftError, MigrationError, StoreFullError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.jobs.migrate import Plan, found_space, plan
from embedwell.models.heads import check_head
from embedwell.stores.protocol import Store
from embedwell.stores.spaces import CODE_ALONE, EVERYTHING, Holds, StoredSpace


@dataclass(frozen=True)
class Target:
    """Where a migration goes.

    Attributes:
        space: The new space.
        artifact: Name of what computes it here, such as `all-MiniLM-L6-v2@q8`.
        settings: The index's, with this model and quantization.
        is_exact: Whether the quantization was named, not chosen.
    """

    space: Space
    artifact: str
    settings: Settings
    is_exact: bool = True


def target_named(settings: Settings, name: str, watch: Watch) -> Target:
    """The target of `--to MODEL[@quantization]`, or of `--code`.

    Raises:
        ModelError: There is no such model, or it cannot be looked at.
        WrongTaskError: It scores pairs of texts.
    """
    card, level = named(settings, name, watch)
    check_head(card, "embedding")
    settings = structs.replace(settings, model=card.called, quantization=level or "auto")
    chosen = quantization_for(settings, card).quantization
    settings = structs.replace(settings, quantization=chosen)
    artifact = artifact_name(settings, card)
    return Target(card.space, artifact, settings, level is not None)


def look_ahead(
    store: Store,
    embedders: Embedders,
    to: Target,
    *,
    keep_both: bool = False,
    of_code: bool = False,
    watch: Watch,
) -> Plan:
    """What a migration would take; see `Index.plan_migration`."""
    filled = _found(store, embedders, to, watch, keep_both=keep_both, of_code=of_code)
    holds = filled.holds if filled else _holds(keep_both=keep_both, of_code=of_code)
    embedder = embedders.unadmitted(to.settings, watch)
    try:
        found = plan(store, to.space, filled, embedder, holds=holds)
    finally:
        embedder.close()
    check_room(store, found)
    return found


def embedder_for(
    store: Store,
    embedders: Embedders,
    to: Target,
    *,
    keep_both: bool = False,
    of_code: bool = False,
    watch: Watch,
) -> AdmittedEmbedder:
    """The embedder of the space that a migration fills, which is added where it is missing.

    Raises:
        MigrationError: It cannot be done as asked.
    """
    stored = _found(store, embedders, to, watch, keep_both=keep_both, of_code=of_code)
    if stored is None:
        role: Literal["next", "light"] = "light" if keep_both else "next"
        holds = _holds(keep_both=keep_both, of_code=of_code)
        stored = store.spaces.add(to.space, role, to.artifact, holds=holds)
    return embedders.of(stored, watch, to.settings)


def gives_others(
    embedders: Embedders, settings: Settings | None, watch: Watch, stored: StoredSpace
) -> bool:
    """Whether what has the name of a stored space's maker gives other vectors now.

    A server may go over to another model, or an engine be compiled anew.
    """
    try:
        embedders.of(stored, watch, settings).embed(["Who is it now?"], "document", watch)
    except DriftError:
        return True
    return False


def drop(store: Store, role: Literal["next", "light", "kept"]) -> list[StoredSpace]:
    """Drop the vectors of all spaces with a role; see `Index.drop_space`."""
    gone = [stored for stored in store.spaces.all() if stored.role == role]
    if not gone:
        raise MigrationError(f"The index has no '{role}' space.", "See `embedwell status`.")
    for stored in gone:
        store.spaces.drop(stored.number)
    store.compact()
    return gone


def _holds(*, keep_both: bool, of_code: bool) -> Holds | None:
    """What a new space is to hold; None for what the main one does."""
    return CODE_ALONE if of_code else EVERYTHING if keep_both else None


def _found(
    store: Store,
    embedders: Embedders,
    to: Target,
    watch: Watch,
    *,
    keep_both: bool,
    of_code: bool,
) -> StoredSpace | None:
    """What there is of a target's space; see `found_space`."""
    is_other = partial(gives_others, embedders, to.settings, watch)
    return found_space(store, to.space, to.artifact, is_other, keep_both=keep_both, of_code=of_code)


def check_room(store: Store, found: Plan) -> None:
    """Look whether the disk has room for what a plan adds.

    Raises:
        StoreFullError: It has not.
    """
    free = store.free_bytes()
    if free is not None and free < found.bytes:
        raise StoreFullError(
            f"The new vectors take about {format_bytes(found.bytes)}, and "
            f"{format_bytes(free)} are free.",
            "Free some space first.",
        )
