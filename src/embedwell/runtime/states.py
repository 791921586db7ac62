"""What loaded models must stay inside of, and how each of them stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from embedwell.core.artifact import Artifact
from embedwell.runtime.pressure import Pressure


@dataclass(frozen=True)
class Limits:
    """What loaded models must stay inside of.

    Attributes:
        budget_bytes: Most resident memory of this process, everything in it counted.
        n_models: Most models loaded.
        idle_s: Seconds after which an unused model is unloaded; 0 for never.
        n_threads: Threads of each engine.
    """

    budget_bytes: int
    n_models: int
    idle_s: float
    n_threads: int


@dataclass(frozen=True)
class ModelState:
    """A model that is loaded, or being loaded.

    Attributes:
        artifact: Which.
        state: `loading` or `loaded`.
        size_bytes: Memory that it takes: measured once it was loaded, estimated before.
        in_use: How many callers are embedding with it now.
        pinned: Whether it is never unloaded by itself.
        priority: Higher ones are unloaded later; 0 by default.
        n_texts: Texts that it embedded since it was loaded.
        idle_s: Seconds since it was last used; 0 while in use.
        unloads_in_s: Seconds until it is unloaded if nobody uses it; None for never.
        stage: What is being done while it loads, such as `download`.
        progress: How much of that stage is done, 0..1; None where unknown.
    """

    artifact: Artifact
    state: Literal["loading", "loaded"]
    size_bytes: int
    in_use: int = 0
    pinned: bool = False
    priority: int = 0
    n_texts: int = 0
    idle_s: float = 0.0
    unloads_in_s: float | None = None
    stage: str = ""
    progress: float | None = None


@dataclass(frozen=True)
class MemoryState:
    """The memory of a process that runs models.

    Attributes:
        rss_bytes: Resident now, everything counted.
        budget_bytes: Most that it may be.
        models_bytes: What loaded models take, or may come to take.
        pressure: Of the memory that others have too.
    """

    rss_bytes: int
    budget_bytes: int
    models_bytes: int
    pressure: Pressure


@dataclass(frozen=True)
class Wish:
    """How hard to hold on to an artifact, loaded or not yet.

    Attributes:
        pinned: Whether it is never unloaded by itself.
        priority: Higher ones are unloaded later.
        idle_s: Seconds after which it is unloaded when unused, 0 for never; None for the limits'.
    """

    pinned: bool = False
    priority: int = 0
    idle_s: float | None = None
