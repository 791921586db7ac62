"""The model that is the service's while there is one, and runs in this process while not."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, TypeVar

from embedwell.core.embedded import Embedded
from embedwell.core.errors import ServiceGoneError, ServiceStoppingError
from embedwell.core.events import Watch
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import IntArray
from embedwell.runtime.protocol import TextEmbedder
from embedwell.runtime.relevance import Relevance, TextReranker

_log = logging.getLogger("embedwell")
_GONE = (ServiceGoneError, ServiceStoppingError)

Found = TypeVar("Found")


class EitherModel(TextEmbedder, TextReranker, Protocol):
    """A model of vectors, or one that scores pairs; for the other's work it is refused by name."""

    def close(self) -> None:
        """Give the memory back."""
        ...


class Way(Protocol):
    """How the service is reached, and whether it is worth trying. Safe to call from all threads."""

    def model(self) -> EitherModel | None:
        """The service's model; None while there is nothing new since the last failure.

        Asked before every call: it costs a look at a file.
        """
        ...

    def failed(self) -> None:
        """The service went away: `model` gives None until it is worth trying again."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class LocalModel(TextEmbedder, Protocol):
    """A model of this process that may be unloaded when idle."""

    def check_idle(self) -> bool:
        """Unload what has been idle for too long; whether anything was."""
        ...


class LocalEither(EitherModel, LocalModel, Protocol):
    """The same, in this process."""


MakeLocal: TypeAlias = Callable[[Watch], LocalEither]


class FallbackModel:
    """A `TextEmbedder`, or a `TextReranker`, that survives the service.

    What was asked of a service that goes away in the middle is done in this process, which is
    said once in the log; a service that was started again is used again, and the model that was
    loaded here is let go of.

    Args:
        space: The space of the vectors.
        way: How the service is reached.
        make_local: Loads the model in this process.
    """

    def __init__(self, space: Space, way: Way, make_local: MakeLocal) -> None:
        self.space = space
        self._way = way
        self._make_local = make_local
        self._local: LocalEither | None = None
        self._is_told = False
        self._lock = threading.Lock()
        self._process = os.getpid()

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Embed texts of any number and length.

        Raises:
            BadTextsError: Some texts could not be embedded; the error holds the other vectors.
            ModelError: There is no service, and the model cannot be had here.
            OverBudgetError: There is no service, and the model does not fit here.
            TaskCancelledError: `watch` was asked to stop.
        """
        return self._try(lambda model: model.embed(texts, kind, watch), watch)

    def score(self, query: str, texts: Sequence[str], watch: Watch) -> Relevance:
        """Score texts for a query; see `TextReranker`.

        Raises:
            QueryError: The query leaves no room for a text.
            EmbedwellError: As `embed` does.
        """
        return self._try(lambda model: model.score(query, texts, watch), watch)

    def token_starts(self, text: str) -> IntArray:
        """Offsets in code points of every token's first character, special tokens left out."""
        return self._try(lambda model: model.token_starts(text), Watch())

    def load(self, watch: Watch) -> None:
        """Load the model in this process now, unless the service is there.

        Raises:
            ModelError: It cannot be had.
            OverBudgetError: It does not fit.
        """
        if self._way.model() is None:
            self._loaded(watch)

    def check_idle(self) -> bool:
        """Unload what has been idle in this process for too long; whether anything was."""
        local = self._local
        return local is not None and local.check_idle()

    def close(self) -> None:
        """Close the connections and unload the model."""
        self._way.close()
        self._let_go()

    def _try(self, do: Callable[[EitherModel], Found], watch: Watch) -> Found:
        self._own()
        remote = self._way.model()
        if remote is not None:
            try:
                found = do(remote)
            except _GONE as error:
                self._way.failed()
                self._tell(error)
            else:
                if self._local is not None:
                    self._let_go()
                return found
        return do(self._loaded(watch))

    def _loaded(self, watch: Watch) -> LocalEither:
        with self._lock:
            if self._local is None:
                self._local = self._make_local(watch)
            return self._local

    def _let_go(self) -> None:
        with self._lock:
            local, self._local = self._local, None
        if local is not None:
            local.close()

    def _tell(self, error: ServiceGoneError | ServiceStoppingError) -> None:
        if not self._is_told:
            self._is_told = True
            _log.warning("%s Its work goes on in this process.", error.problem)

    def _own(self) -> None:
        """In a forked child, load anew: the threads of the parent's engine are not there."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._lock = threading.Lock()
            self._local = None
