"""Migrate an index to another model, or back; see docs/migration.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from msgspec import structs

from embedwell.app.choose import quantization_for
from embedwell.app.index import Index
from embedwell.app.settings import Settings
from embedwell.core.errors import MigrationError, StoreFullError
from embedwell.core.events import Watch
from embedwell.jobs.migrate import Goal, MigrationReport, Plan, found_space, migrate, plan
from embedwell.models.catalogue import ModelCard, named
from embedwell.stores.spaces import StoredSpace


@dataclass(frozen=True)
class Target:
    """Where a migration goes.

    Attributes:
        card: The model.
        artifact: Its name with the quantization that is used here.
        settings: The index's, with this model and quantization.
    """

    card: ModelCard
    artifact: str
    settings: Settings


def target_named(index: Index, name: str) -> Target:
    """The target of `--to MODEL[@quantization]`.

    Raises:
        UnknownModelError: The catalogue has no such model.
    """
    card, level = named(name)
    settings = structs.replace(index.settings, model=card.name, quantization=level or "auto")
    chosen = quantization_for(settings, card).quantization
    settings = structs.replace(settings, quantization=chosen)
    return Target(card, f"{card.name}@{chosen}", settings)


def look_ahead(index: Index, to: Target, goal: Goal, watch: Watch) -> Plan:
    """What a migration would take; the new model is loaded for it, and nothing is written.

    Raises:
        MigrationError: It cannot be done as asked.
        StoreFullError: The disk has too little room for it.
        OverBudgetError: The model does not fit.
    """
    filled = found_space(index.store, to.card.space, to.artifact, goal)
    embedder = index.embedders.unadmitted(to.settings, watch)
    try:
        found = plan(index.store, to.card.space, filled, embedder)
    finally:
        embedder.close()
    free = index.free_bytes()
    if free is not None and free < found.bytes:
        raise StoreFullError(
            f"The new vectors take about {found.bytes:,} bytes, and {free:,} are free.",
            "Free some space first.",
        )
    return found


def run(
    index: Index,
    to: Target,
    goal: Goal,
    watch: Watch,
    *,
    keep_old: bool = False,
    chunks_per_s: float = 0.0,
) -> MigrationReport:
    """Migrate; stopped at any moment, it goes on when it is called again with the same target.

    Raises:
        MigrationError: It cannot be done as asked, or the new space is not good.
    """
    store = index.store
    stored = found_space(store, to.card.space, to.artifact, goal)
    if stored is None:
        role: Literal["next", "light"] = "next" if goal == "switch" else "light"
        stored = store.spaces.add(to.card.space, role, to.artifact)
    embedder = index.embedders.of(stored, watch, to.settings)
    return migrate(store, embedder, goal, watch, keep_old=keep_old, chunks_per_s=chunks_per_s)


def drop(index: Index, role: Literal["next", "light", "kept"]) -> list[StoredSpace]:
    """Drop the vectors of all spaces with a role, and give their bytes back.

    Raises:
        MigrationError: There is none.
    """
    gone = [stored for stored in index.store.spaces.all() if stored.role == role]
    if not gone:
        raise MigrationError(f"The index has no '{role}' space.", "See `embedwell status`.")
    for stored in gone:
        index.store.spaces.drop(stored.number)
    index.store.compact()
    return gone
