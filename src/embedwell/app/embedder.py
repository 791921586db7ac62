"""The embedder that people construct: `embedwell.Embedder()`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Self

from embedwell.app.configuration import load
from embedwell.app.connect import connect
from embedwell.core.events import Watch
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import FloatArray


class TruncationWarning(UserWarning):
    """Texts were longer than the model takes and lost their end."""


class Embedder:
    """Text in, vectors out, with the model that you name or that your settings name.

    The model is pulled and converted at first use on a machine; later starts take a fraction of a
    second. Safe to use from several threads.

    Args:
        model: Catalogue name; `embedwell models list` shows them.
        quantization: `q4`, `q8`, `q16` or `q32`.
        threads: Threads of the engine; 0 takes every CPU that this process may use.

    Raises:
        SettingsError: A setting is wrong.
        ModelError: The model is unknown, cannot be had, or its bytes are wrong.
        OverBudgetError: The model does not fit the memory budget.

    Example:
        >>> embedder = embedwell.Embedder()
        >>> embedder.embed(["bonjour", "hello"]).shape
        (2, 384)
    """

    def __init__(
        self,
        model: str | None = None,
        quantization: str | None = None,
        threads: int | None = None,
    ) -> None:
        given = {"model": model, "quantization": quantization, "threads": threads}
        self._inner = connect(load(given).settings, Watch())

    @property
    def space(self) -> Space:
        """The space that its vectors belong to."""
        return self._inner.space

    def embed(self, texts: Sequence[str], kind: Kind = "document") -> FloatArray:
        """Embed texts of any number and length.

        Texts longer than the model takes are cut and counted in a `TruncationWarning`.

        Args:
            texts: What to embed. Empty texts are allowed and get the vector of "nothing".
            kind: `document` for what is searched, `query` for what it is searched with.

        Returns:
            float32, shape (len(texts), d), each row of length 1.

        Raises:
            BadTextsError: Some texts could not be embedded; `.vectors` holds the others.
        """
        if isinstance(texts, str):
            raise TypeError("embed() takes a list of texts; put the one text into a list.")
        embedded = self._inner.embed(texts, kind, Watch())
        if embedded.n_truncated:
            message = truncation_message(embedded.n_truncated, len(texts), self.space)
            warnings.warn(message, TruncationWarning, stacklevel=2)
        return embedded.vectors

    def close(self) -> None:
        """Unload the model and give its memory back."""
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def truncation_message(n_truncated: int, n_texts: int, space: Space) -> str:
    """What people are told about texts that lost their end."""
    return (
        f"{n_truncated} of {n_texts} texts had more than the {space.max_tokens} tokens that "
        f"{space.model} takes; the rest of them was not embedded."
    )
