"""What engines say when they fail: the same sentences, whichever library runs."""

from __future__ import annotations

from embedwell.core.artifact import Artifact
from embedwell.core.errors import EngineError, EngineMemoryError
from embedwell.engines.protocol import TokenBatch

# What allocators, the C++ library and the mapping of the weights' file say.
_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "Cannot allocate memory", "bad alloc")


def is_out_of_memory(error: Exception) -> bool:
    """Whether the system gave no memory: engines have no status of their own for that."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _OUT_OF_MEMORY)


def does_not_load(artifact: Artifact, error: Exception) -> EngineError:
    """For what a library raised while it loaded an artifact."""
    if is_out_of_memory(error):
        return EngineMemoryError(
            f"The system gave no memory to load '{artifact.name}' ({error}).",
            "Free memory on this machine, or take a lower quantization.",
        )
    return EngineError(
        f"The artifact '{artifact.name}' in '{artifact.folder}' does not load ({error}).",
        f"Make it again: `embedwell models remove {artifact.name}`, "
        f"then `embedwell models pull {artifact.name}`.",
    )


def does_not_run(name: str, batch: TokenBatch, error: Exception) -> EngineError:
    """For what a library raised while it ran a batch."""
    if is_out_of_memory(error):
        return EngineMemoryError(
            f"The system gave '{name}' no memory for a batch of shape {batch.ids.shape} ({error}).",
            "Free memory on this machine, or embed less at once.",
        )
    return EngineError(
        f"'{name}' failed on a batch of shape {batch.ids.shape} ({error}).",
        "Run `embedwell doctor`.",
    )


def is_closed(name: str) -> EngineError:
    """For an engine that is used after `close`."""
    return EngineError(f"'{name}' is closed.", "Load it again.")
