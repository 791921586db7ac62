"""The embedder whose model another process of this machine runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from embedwell.core.build import BuildRecord
from embedwell.core.embedded import Embedded
from embedwell.core.errors import (
    BadRequestError,
    BadTextsError,
    ServiceBusyError,
    ServiceGoneError,
    ServiceStoppingError,
    SpaceMismatchError,
)
from embedwell.core.events import Watch
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import IntArray
from embedwell.engines.http import HttpEngine
from embedwell.engines.wire import (
    LONGEST_TEXT,
    BinaryEmbedded,
    EmbedRequest,
    RerankRequest,
    TokenStartsRequest,
)
from embedwell.runtime.printable import printable
from embedwell.runtime.relevance import Relevance
from embedwell.runtime.windows import windows

# Enough for the service to fill sorted batches, little enough that others' requests come between.
_TEXTS_PER_REQUEST = 256
_CHARACTERS_PER_REQUEST = 1 << 20
# How long a busy service is asked again before its refusal is passed on.
_PATIENCE_S = 30.0

# How often a call is begun anew because its answers came from different builds.
_TRIES = 5

Answer = TypeVar("Answer")
FindTokens: TypeAlias = Callable[[str], IntArray]
"""Offsets in code points of every token's first character in a text."""


class RemoteEmbedder:
    """A `TextEmbedder`, or a `TextReranker`, that asks the service; holds no model.

    Args:
        engine: Speaks to the service.
        model: Name of the model, with its quantization where it matters.
        space: The space that its vectors must belong to.
        tokenizer: Gives what finds tokens in this process, asked for at the first need of it;
            None where there is none, and then the service is asked.
        revive: Starts the service again where it has gone, once for each call; None to pass
            `ServiceGoneError` on.
    """

    def __init__(
        self,
        engine: HttpEngine,
        model: str,
        space: Space,
        *,
        tokenizer: Callable[[], FindTokens | None] = lambda: None,
        revive: Callable[[Watch], None] | None = None,
    ) -> None:
        self._engine = engine
        self._model = model
        self.space = space
        self._tokenizer = tokenizer
        self._revive = revive
        self._find_tokens: FindTokens | None = None

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Embed texts of any number and length.

        Raises:
            BadTextsError: Some texts could not be embedded; the error holds the other vectors.
            ServiceGoneError: The service went away.
            ServiceBusyError: It stayed too busy.
            SpaceMismatchError: It has another model under this name.
            TaskCancelledError: `watch` was asked to stop.
        """
        for _ in range(_TRIES):
            embedded = self._embed_all(texts, kind, watch)
            if embedded is not None:
                return embedded
        raise ServiceBusyError(
            f"The service at {self._engine.address} went over to another build in the middle of "
            f"a call, {_TRIES} times in a row.",
            "Ask for fewer texts at once, or give the service more memory.",
        )

    def token_starts(self, text: str) -> IntArray:
        """Offsets in code points of every token's first character, special tokens left out.

        Raises:
            ServiceGoneError: The service went away.
        """
        if self._find_tokens is None:
            self._find_tokens = self._tokenizer() or self._ask_for_tokens
        return self._find_tokens(text)

    def score(self, query: str, texts: Sequence[str], watch: Watch) -> Relevance:
        """Score texts for a query, with a model that scores pairs.

        Raises:
            ServiceGoneError: The service went away.
            ServiceBusyError: It stayed too busy.
            EmbedwellError: What the service refused it with.
        """
        scores = np.zeros(len(texts), np.float32)
        n_tokens = n_truncated = 0
        for begin, end in windows(texts, _TEXTS_PER_REQUEST, _CHARACTERS_PER_REQUEST):
            watch.progress("rerank", begin, len(texts), "texts")
            asked = [_sendable(text) for text in texts[begin:end]]
            request = RerankRequest(_sendable(query), [*asked], self._model)
            found = self._ask(partial(self._engine.rerank, request, watch), watch)
            for result in found.results:
                scores[begin + result.index] = result.relevance_score
            n_tokens += found.usage.total_tokens
            n_truncated += found.usage.n_truncated
        return Relevance(scores, n_tokens, n_truncated)

    def answers(self) -> bool:
        """Whether the service is there; wakes no model."""
        return self._engine.answers()

    def revive(self, watch: Watch) -> None:
        """Start the service if it is not there and may be started.

        Raises:
            ServiceStartError: It did not start.
        """
        if self._revive is not None:
            self._revive(watch)

    def check_idle(self) -> bool:
        """False: this process holds no model."""
        return False

    def close(self) -> None:
        """Close the connections."""
        self._engine.close()

    def _embed_all(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded | None:
        """None where the service answered from two builds, as when it was started anew."""
        vectors = np.full((len(texts), self.space.dimensions), np.nan, dtype=np.float32)
        n_tokens = np.zeros(len(texts), dtype=np.int64)
        failures = {
            position: f"it is {type(text).__name__}, not str"
            for position, text in enumerate(texts)
            if not isinstance(text, str)
        }
        n_truncated, builds = 0, list[BuildRecord]()
        for begin, end in windows(texts, _TEXTS_PER_REQUEST, _CHARACTERS_PER_REQUEST):
            watch.progress("embed", begin, len(texts), "texts")
            asked = [_sendable(text) for text in texts[begin:end]]
            found = self._embed(EmbedRequest(self._model, asked, kind, self.space.id), watch)
            vectors[begin:end] = _rows(found.vectors, "<f4", end - begin, self.space.dimensions)
            n_tokens[begin:end] = _rows(found.n_tokens, "<i8", end - begin, 1)[:, 0]
            n_truncated += found.n_truncated
            builds.append(_build(found.build))
            if builds[-1].key != builds[0].key:
                return None
            for position, reason in found.failures.items():
                failures.setdefault(begin + position, reason)
        watch.progress("embed", len(texts), len(texts), "texts")
        vectors[list(failures)] = np.nan
        build = builds[0] if builds else BuildRecord.of_nothing(self._model)
        embedded = Embedded(vectors, n_tokens, n_truncated, build)
        if failures:
            raise BadTextsError(failures, embedded)
        return embedded

    def _ask_for_tokens(self, text: str) -> IntArray:
        request = TokenStartsRequest(self._model, _sendable(text))
        found = self._ask(lambda: self._engine.token_starts(request), Watch())
        return np.frombuffer(found, dtype="<i8").astype(np.int64)

    def _embed(self, request: EmbedRequest, watch: Watch) -> BinaryEmbedded:
        found = self._ask(lambda: self._engine.embed(request, watch), watch)
        if found.space != self.space.id:
            raise SpaceMismatchError(
                f"The service at {self._engine.address} gave vectors of space "
                f"{found.space[:12]}, expected {self.space.id[:12]} ({self.space.model}).",
                "Run the same version of embedwell in both places.",
            )
        return found

    def _ask(self, ask: Callable[[], Answer], watch: Watch) -> Answer:
        try:
            return _patiently(ask, watch)
        except (ServiceGoneError, ServiceStoppingError):
            if self._revive is None:
                raise
        self.revive(watch)
        return _patiently(ask, watch)


def _patiently(ask: Callable[[], Answer], watch: Watch) -> Answer:
    """Ask a busy service again, when it said to, for a while."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return ask()
        except ServiceStoppingError:
            raise  # waiting for it is of no use: somebody has to start it again
        except ServiceBusyError as busy:
            if time.monotonic() + busy.retry_after_s > until:
                raise
            watch.cancelled.wait(busy.retry_after_s)
            watch.check("embed")


@lru_cache(maxsize=64)
def _build(text: str) -> BuildRecord:
    try:
        return BuildRecord.from_json(text)
    except (ValueError, TypeError, KeyError) as error:
        raise BadRequestError(
            f"The service gave a build record that is not understood ({error}).",
            "Run the same version of embedwell in both places.",
        ) from error


def _rows(raw: bytes, dtype: str, n_rows: int, width: int) -> npt.NDArray[Any]:
    """An array of that shape, unless the answer holds another number of values."""
    if len(raw) != n_rows * width * np.dtype(dtype).itemsize:
        raise BadRequestError(
            f"The service gave {len(raw)} bytes for {n_rows} rows of {width}.",
            "Run the same version of embedwell in both places.",
        )
    return np.frombuffer(raw, dtype).reshape(n_rows, width)


def _sendable(text: object) -> str:
    """The text with lone surrogates replaced by U+FFFD, as decoders do; nothing for no text."""
    if not isinstance(text, str):
        return ""
    return printable(text[:LONGEST_TEXT])
