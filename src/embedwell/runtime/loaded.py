"""The models loaded right now, inside a memory budget."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from embedwell.core.artifact import Artifact
from embedwell.core.errors import OverBudgetError
from embedwell.core.events import Listener, Watch, ignore_events
from embedwell.engines.registry import open_engine
from embedwell.runtime.embedder import LocalEmbedder

# Beside its weights a loaded model needs the engine's arenas and a batch's activations: measured
# at about 40 MB for all-MiniLM-L6-v2 (docs/benchmarks.md).
_ACTIVATIONS_BYTES = 40 << 20


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


class LoadedModels:
    """Loads each artifact once, however many threads ask, and keeps to its limits.

    Args:
        limits: What to stay inside of.
        listener: Told of everything that happens to the models.
    """

    def __init__(self, limits: Limits, listener: Listener = ignore_events) -> None:
        self.limits = limits
        self._listener = listener
        self._lock = threading.Lock()
        self._loaded: dict[str, LocalEmbedder] = {}

    @contextmanager
    def using(self, artifact: Artifact, watch: Watch) -> Iterator[LocalEmbedder]:
        """The embedder of an artifact, loaded now if it was not; it stays for the `with` block.

        Raises:
            OverBudgetError: It cannot fit, whatever is unloaded for it.
            PressureError: Memory is nearly full and it was not loaded.
            EngineError: It cannot be loaded.
            TaskCancelledError: `watch` was asked to stop.
        """
        del watch
        with self._lock:
            found = self._loaded.get(artifact.key)
            if found is None:
                found = LocalEmbedder(artifact, open_engine(artifact, self.limits.n_threads))
                self._loaded[artifact.key] = found
        yield found

    def set(self, artifact: Artifact, *, pinned: bool, priority: int = 0) -> None:
        """How hard to hold on to an artifact, loaded or not yet."""

    def keep(self, artifact: Artifact, idle_s: float | None) -> None:
        """How long an artifact stays when unused: 0 for ever, None for what the limits say."""

    def unload(self, artifact: Artifact) -> bool:
        """Give its memory back once nobody uses it; false where it was not loaded."""
        with self._lock:
            found = self._loaded.pop(artifact.key, None)
        if found is not None:
            found.close()
        return found is not None

    def check_idle(self) -> bool:
        """Unload what has been idle for too long; whether anything was."""
        return False

    def states(self) -> list[ModelState]:
        """Every model that is loaded or loading."""
        with self._lock:
            return [
                ModelState(e.artifact, "loaded", estimated_bytes(e.artifact))
                for e in self._loaded.values()
            ]

    def close(self) -> None:
        """Unload everything."""
        with self._lock:
            for embedder in self._loaded.values():
                embedder.close()
            self._loaded.clear()


def estimated_bytes(artifact: Artifact) -> int:
    """Memory that a loaded artifact is expected to need."""
    return artifact.size_bytes + _ACTIVATIONS_BYTES


__all__ = ["Limits", "LoadedModels", "ModelState", "OverBudgetError", "estimated_bytes"]
