"""What every embedder does, wherever its model runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from embedwell.core.embedded import Embedded
from embedwell.core.events import Watch
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import IntArray


class TextEmbedder(Protocol):
    """Text in, vectors out. Safe to call from several threads."""

    @property
    def space(self) -> Space:
        """The space of its vectors."""
        ...

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Embed texts of any number and length.

        Raises:
            BadTextsError: Some texts could not be embedded; the error holds the other vectors.
            TaskCancelledError: `watch` was asked to stop.
        """
        ...

    def token_starts(self, text: str) -> IntArray:
        """Offsets in code points of every token's first character, special tokens left out."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...
