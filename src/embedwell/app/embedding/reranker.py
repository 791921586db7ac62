"""The reranker that people construct: `embedwell.Reranker()`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self, TypeAlias

from embedwell.app.config.configuration import load
from embedwell.app.config.settings import Settings
from embedwell.app.embedding.connect import anywhere
from embedwell.core.errors import EmbeddingsOffError, EmbedwellError
from embedwell.core.events import Listener, Watch, ignore_events
from embedwell.models.heads import RERANKER
from embedwell.runtime.relevance import Relevance, TextReranker

ConnectReranker: TypeAlias = Callable[[Settings, str, Watch], TextReranker]
"""Gives what scores texts with the model of that name."""


class Reranker:
    """Orders texts by how well they answer a query, reading both together.

    Slower than comparing vectors and truer: for the few dozen texts that a search has found. Where
    the machine's service runs, it does the work, as it does for `Embedder`. Safe to use from
    several threads.

    Args:
        model: Catalogue name of a model that reranks, with `@q8` or the like where the
            quantization matters; docs/reranking.md lists them, with their languages.
        threads: Threads of the engine; 0 takes every CPU that this process may use.
        on_event: Called with what happens to models in this process.

    Raises:
        WrongTaskError: The model gives vectors.
        ServiceError: The settings require the service or start it, and it is not there.
        SettingsError: A setting is wrong.
        ModelError: The model is unknown, cannot be had, or its bytes are wrong.
        OverBudgetError: The model does not fit the memory budget.

    Example:
        >>> embedwell.Reranker().rank("how tall is it", ["It is red.", "It has 300 m."])[0][0]
        1
    """

    def __init__(
        self,
        model: str = RERANKER,
        threads: int | None = None,
        *,
        on_event: Listener = ignore_events,
    ) -> None:
        settings = load({"threads": threads}).settings
        self._inner: TextReranker | None = connect_reranker(settings, model, Watch(), on_event)

    def rank(
        self, query: str, texts: Sequence[str], top: int | None = None
    ) -> list[tuple[int, float]]:
        """Order texts.

        Args:
            query: The question.
            texts: Any number, of any length; what is longer than the model takes loses its end.
            top: How many of the best; all where left out.

        Returns:
            For each text its position among those given and its score, 0 to 1, best first; texts
            of one score in the order in which they came.

        Raises:
            QueryError: The query leaves no room for a text.
            ServiceError: The settings require the service, and it went away or is too busy.
            EmbedwellError: This reranker was closed.
            TypeError: Something is no text.
            ValueError: `top` is below 0.
        """
        if isinstance(texts, str):
            raise TypeError("rank() takes a list of texts; put the one text into a list.")
        if other := [one for one in (query, *texts) if not isinstance(one, str)]:
            raise TypeError(f"rank() takes texts, not {other[0]!r}.")
        if top is not None and top < 0:
            raise ValueError(f"`top` is {top}; give 0 or more.")
        if self._inner is None:
            raise EmbedwellError("This Reranker was closed.", "Make another one.")
        return ranked(self._inner.score(query, texts, Watch()))[:top]

    def close(self) -> None:
        """Let go of the model; its memory is given back once nobody else uses it."""
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def ranked(found: Relevance) -> list[tuple[int, float]]:
    """Positions and scores, best first."""
    return sorted(enumerate(found.scores.tolist()), key=lambda at: -at[1])


def connect_reranker(
    settings: Settings, model: str, watch: Watch, on_event: Listener = ignore_events
) -> TextReranker:
    """What scores texts with a model, wherever it runs.

    Args:
        settings: What the user chose.
        model: Its name.
        watch: Told of progress in this process.
        on_event: Called with what happens to models in this process.

    Raises:
        WrongTaskError: The model gives vectors.
        EmbeddingsOffError: The settings switch models off.
        EmbedwellError: As `connect` does.
    """
    if not settings.embeddings:
        raise EmbeddingsOffError(
            "No model may run (`embeddings = false`).", "Search without reranking."
        )
    return anywhere(settings, model, "rerank", watch, on_event)


class Rerankers:
    """The rerankers of one index, each connected when it is first asked for.

    Args:
        connect: Gives them.
    """

    def __init__(self, connect: ConnectReranker) -> None:
        self._connect = connect
        self._open: dict[str, TextReranker] = {}

    def get(self, settings: Settings, model: str, watch: Watch | None = None) -> TextReranker:
        """The reranker of that name; its model is brought here now if it was not.

        Raises:
            EmbedwellError: As `connect_reranker` does.
        """
        if model not in self._open:
            self._open[model] = self._connect(settings, model, watch or Watch())
        return self._open[model]

    def close(self) -> None:
        """Let go of all of them."""
        while self._open:
            self._open.popitem()[1].close()
