"""The embedder that people construct: `embedwell.Embedder()`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Self

from embedwell.app.config.configuration import load
from embedwell.app.embedding.connect import chosen, connect
from embedwell.core.errors import EmbedwellError
from embedwell.core.events import Listener, Watch, ignore_events
from embedwell.core.space import Kind, Space, check_kind
from embedwell.core.vectors import FloatArray
from embedwell.runtime.fallback import LocalModel


class TruncationWarning(UserWarning):
    """Texts were longer than the model takes and lost their end."""


class Embedder:
    """Text in, vectors out, with the model that you name or that your settings name.

    Where the machine's service runs, it does the work, and this process holds no model; see the
    setting `service`. Otherwise the model is pulled and converted at first use on a machine; later
    starts take a fraction of a second, and all embedders of a process share what is loaded. Safe
    to use from several threads, and in the children of a fork.

    Args:
        model: Catalogue name; `embedwell models list` shows them. `auto` takes the strongest that
            the machine's memory is fit for.
        quantization: `q4`, `q8`, `q16` or `q32`.
        threads: Threads of the engine; 0 takes every CPU that this process may use. Only for what
            runs in this process: the service has its own.
        on_event: Called with what happens to models in this process, in the thread where it
            happens; the service tells its own events.

    Raises:
        ServiceError: The settings require the service or start it, and it is not there.
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
        *,
        on_event: Listener = ignore_events,
    ) -> None:
        given = {"model": model, "quantization": quantization, "threads": threads}
        settings, _ = chosen(load(given).settings, Watch())
        self._inner: LocalModel | None = connect(settings, Watch(), on_event)
        self._space = self._inner.space

    @property
    def space(self) -> Space:
        """The space that its vectors belong to."""
        return self._space

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
            ServiceError: The settings require the service, and it went away or is too busy.
            EmbedwellError: This embedder was closed.
            ValueError: There is no such kind.
        """
        if isinstance(texts, str):
            raise TypeError("embed() takes a list of texts; put the one text into a list.")
        check_kind(kind)
        embedded = self._open().embed(texts, kind, Watch())
        if embedded.n_truncated:
            message = truncation_message(embedded.n_truncated, len(texts), self.space)
            warnings.warn(message, TruncationWarning, stacklevel=2)
        return embedded.vectors

    def check_idle(self) -> bool:
        """Unload what has been idle in this process for longer than `idle_s`; whether anything was.

        For programs that have a loop of their own, called every now and then: nothing here has a
        timer. What was unloaded is loaded again when it is next used.
        """
        return self._open().check_idle()

    def close(self) -> None:
        """Let go of the model; its memory is given back once no other embedder uses it."""
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _open(self) -> LocalModel:
        inner = self._inner
        if inner is None:
            raise EmbedwellError("This Embedder was closed.", "Make another one.")
        return inner


def truncation_message(n_truncated: int, n_texts: int, space: Space) -> str:
    """What people are told about texts that lost their end."""
    return (
        f"{n_truncated} of {n_texts} texts had more than the {space.max_tokens} tokens that "
        f"{space.model} takes; the rest of them was not embedded."
    )
