"""The embedders loaded right now, inside a memory budget."""

from __future__ import annotations

import threading

from embedwell.core.artifact import Artifact
from embedwell.core.errors import OverBudgetError
from embedwell.engines.registry import open_engine
from embedwell.runtime.embedder import LocalEmbedder

# Beside its weights a loaded model needs the engine's arenas and a batch's activations: measured
# at about 40 MB for all-MiniLM-L6-v2 (docs/benchmarks.md).
_ACTIVATIONS_BYTES = 40 << 20


class Runtime:
    """Loads each artifact once, however many threads ask, and refuses what would not fit.

    Args:
        budget_bytes: Most memory that all loaded models may need together.
        n_threads: Threads of each engine.
    """

    def __init__(self, budget_bytes: int, n_threads: int) -> None:
        self.budget_bytes = budget_bytes
        self.n_threads = n_threads
        self._lock = threading.Lock()
        self._loaded: dict[str, LocalEmbedder] = {}

    def embedder(self, artifact: Artifact) -> LocalEmbedder:
        """The embedder of an artifact, loaded now if it was not.

        Raises:
            OverBudgetError: It would not fit beside what is loaded.
            EngineError: It cannot be loaded.
        """
        with self._lock:
            found = self._loaded.get(artifact.key)
            if found is None:
                self._make_room(artifact)
                found = LocalEmbedder(artifact, open_engine(artifact, self.n_threads))
                self._loaded[artifact.key] = found
            return found

    def close(self) -> None:
        """Unload everything."""
        with self._lock:
            for embedder in self._loaded.values():
                embedder.close()
            self._loaded.clear()

    def _make_room(self, artifact: Artifact) -> None:
        loaded = sum(estimated_bytes(embedder.artifact) for embedder in self._loaded.values())
        need = estimated_bytes(artifact)
        if loaded + need > self.budget_bytes:
            raise OverBudgetError(
                f"{artifact.name} needs about {need >> 20} MiB and the memory budget of "
                f"{self.budget_bytes >> 20} MiB has {max(0, self.budget_bytes - loaded) >> 20} "
                "MiB left.",
                "Choose a lower quantization or a smaller model, or raise `memory_budget`.",
            )


def estimated_bytes(artifact: Artifact) -> int:
    """Memory that a loaded artifact is expected to need."""
    return artifact.size_bytes + _ACTIVATIONS_BYTES
