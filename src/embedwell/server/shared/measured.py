"""Readings of the runtime as the service tells them."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from embedwell.app.config.sizes import parse_bytes
from embedwell.app.embedding.runtime import Runtime
from embedwell.runtime.states import ModelState


class LoadedModel(Struct):
    """A model that is loaded, or being loaded."""

    name: str
    model: str
    quantization: str
    engine: str
    space: str
    dimensions: int
    state: str
    size_bytes: int
    in_use: int
    pinned: bool
    priority: int
    n_texts: int
    idle_s: float
    unloads_in_s: float | None
    stage: str
    progress: float | None


class Pressure(Struct):
    """How close the memory that this process shares with others is to its end.

    Attributes:
        level: `low`, `medium`, `high` or `critical`.
        fraction: 0..1.
    """

    level: str
    fraction: float


class CacheStatistics(Struct):
    """Vectors of recent texts: what was asked of them since the start, and what there is now."""

    hits: int
    misses: int
    evictions: int
    entries: int
    bytes: int
    most_entries: int
    most_bytes: int


@dataclass(frozen=True)
class Memory:
    """Memory of this process.

    Attributes:
        rss_bytes: Resident now.
        budget_bytes: Most that it may be.
        pressure: Of the memory that others have too.
    """

    rss_bytes: int
    budget_bytes: int
    pressure: Pressure


def described(state: ModelState) -> LoadedModel:
    """A model's state as it is told to clients."""
    artifact = state.artifact
    return LoadedModel(
        name=artifact.name,
        model=artifact.space.model,
        quantization=artifact.quantization,
        engine=artifact.engine,
        space=artifact.space.id,
        dimensions=artifact.space.dimensions,
        state=state.state,
        size_bytes=state.size_bytes,
        in_use=state.in_use,
        pinned=state.pinned,
        priority=state.priority,
        n_texts=state.n_texts,
        idle_s=state.idle_s,
        unloads_in_s=state.unloads_in_s,
        stage=state.stage,
        progress=state.progress,
    )


def memory(runtime: Runtime) -> Memory:
    """The process's memory now."""
    now = runtime.memory()
    pressure = Pressure(now.pressure.level, now.pressure.fraction)
    return Memory(now.rss_bytes, now.budget_bytes, pressure)


def cache_statistics(runtime: Runtime) -> CacheStatistics | None:
    """What the runtime's cache of vectors has done; None where it keeps none."""
    settings = runtime.settings
    if not settings.vector_cache_entries:
        return None
    kept = runtime.cache.statistics()
    return CacheStatistics(
        hits=kept.hits,
        misses=kept.misses,
        evictions=kept.evictions,
        entries=kept.entries,
        bytes=kept.bytes,
        most_entries=settings.vector_cache_entries,
        most_bytes=parse_bytes(settings.vector_cache_size),
    )
