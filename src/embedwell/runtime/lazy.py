"""An embedder whose model is had when it is first used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from embedwell.core.embedded import Embedded
from embedwell.core.errors import EngineError, SpaceMismatchError
from embedwell.core.events import Watch
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import IntArray
from embedwell.runtime.protocol import TextEmbedder


class LazyEmbedder:
    """A `TextEmbedder` that loads nothing before it is asked for a vector or for tokens.

    What goes wrong with the model comes up then, and it is tried again the next time.

    Args:
        space: The space of the vectors.
        make: Gives the embedder; called once, in whichever thread needs it first.
    """

    def __init__(self, space: Space, make: Callable[[], TextEmbedder]) -> None:
        self.space = space
        self._make = make
        self._inner: TextEmbedder | None = None
        self._is_open = True
        self._lock = threading.Lock()

    @property
    def is_loaded(self) -> bool:
        """Whether it has been used."""
        return self._inner is not None

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Embed texts of any number and length; see `TextEmbedder`."""
        return self.load().embed(texts, kind, watch)

    def token_starts(self, text: str) -> IntArray:
        """Offsets in code points of every token's first character, special tokens left out."""
        return self.load().token_starts(text)

    def load(self) -> TextEmbedder:
        """The embedder, had now if it was not yet.

        Raises:
            ModelError: The model cannot be had.
            OverBudgetError: It does not fit.
            SpaceMismatchError: Its vectors are of another space than was said.
        """
        with self._lock:
            if not self._is_open:
                raise EngineError("This embedder is closed.", "Make another one to go on.")
            if self._inner is None:
                inner = self._make()
                if inner.space != self.space:
                    inner.close()
                    raise SpaceMismatchError(
                        f"The embedder gives vectors of {inner.space.model} "
                        f"({inner.space.dimensions} dimensions), not of {self.space.model} "
                        f"({self.space.dimensions}).",
                        "Open it again.",
                    )
                self._inner = inner
            return self._inner

    def close(self) -> None:
        """Give the memory back."""
        with self._lock:
            self._is_open = False
            inner, self._inner = self._inner, None
        if inner is not None:
            inner.close()
