"""What every engine does: token ids in, one vector a text out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from embedwell.core.artifact import Artifact
from embedwell.core.vectors import FloatArray, IntArray


@dataclass(frozen=True)
class TokenBatch:
    """Texts as token ids, padded on the right to one length.

    Attributes:
        ids: int64, shape (n, s).
        mask: int64, shape (n, s); 1 for tokens, 0 for padding.
        types: int64, shape (n, s); which text of a pair a token is of. None where there are none.
    """

    ids: IntArray
    mask: IntArray
    types: IntArray | None = None


@dataclass(frozen=True)
class EngineBuild:
    """Which code an engine runs.

    Attributes:
        name: The engine's name in the registry.
        version: What its package states.
        native: Build id of its native library, or the SHA-256 of the file; empty where it has none.
    """

    name: str
    version: str
    native: str


class Engine(Protocol):
    """A loaded artifact. Safe to call from several threads."""

    @property
    def build(self) -> EngineBuild:
        """The code that runs."""
        ...

    def run(self, batch: TokenBatch) -> FloatArray:
        """Compute the pooled vectors of a batch, not yet normalized.

        Returns:
            float32, shape (n, d), in the order of the batch.

        Raises:
            EngineError: The engine failed; the message names the artifact.
        """
        ...

    def close(self) -> None:
        """Give the memory back. The engine cannot be used afterwards."""
        ...


class OpenEngine(Protocol):
    """How a registry entry makes an engine."""

    def __call__(self, artifact: Artifact, n_threads: int) -> Engine:
        """Load an artifact.

        Raises:
            EngineError: The artifact cannot be loaded.
        """
        ...
