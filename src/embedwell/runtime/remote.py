"""The embedder whose model another process of this machine runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from embedwell.core.embedded import Embedded
from embedwell.core.errors import BadTextsError, ServiceBusyError, SpaceMismatchError
from embedwell.core.events import Watch
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import IntArray
from embedwell.engines.http import HttpEngine
from embedwell.engines.wire import BinaryEmbedded, EmbedRequest, TokenStartsRequest

# Enough for the service to fill sorted batches, little enough that others' requests come between.
_TEXTS_PER_REQUEST = 256
_CHARACTERS_PER_REQUEST = 1 << 20
# How long a busy service is asked again before its refusal is passed on.
_PATIENCE_S = 30.0

Answer = TypeVar("Answer")


class RemoteEmbedder:
    """A `TextEmbedder` that asks the service; holds no model.

    Args:
        engine: Speaks to the service.
        model: Name of the model, with its quantization where it matters.
        space: The space that its vectors must belong to.
    """

    def __init__(self, engine: HttpEngine, model: str, space: Space) -> None:
        self._engine = engine
        self._model = model
        self.space = space

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Embed texts of any number and length.

        Raises:
            BadTextsError: Some texts could not be embedded; the error holds the other vectors.
            ServiceGoneError: The service went away.
            ServiceBusyError: It stayed too busy.
            SpaceMismatchError: It has another model under this name.
            TaskCancelledError: `watch` was asked to stop.
        """
        vectors = np.full((len(texts), self.space.dimensions), np.nan, dtype=np.float32)
        n_tokens = np.zeros(len(texts), dtype=np.int64)
        failures = {
            position: f"it is {type(text).__name__}, not str"
            for position, text in enumerate(texts)
            if not isinstance(text, str)
        }
        n_truncated, artifact = 0, self._model
        for begin, end in _requests(texts):
            watch.progress("embed", begin, len(texts), "texts")
            asked = [_sendable(text) for text in texts[begin:end]]
            found = self._embed(EmbedRequest(self._model, asked, kind, self.space.id), watch)
            vectors[begin:end] = np.frombuffer(found.vectors, "<f4").reshape(end - begin, -1)
            n_tokens[begin:end] = np.frombuffer(found.n_tokens, "<i8")
            n_truncated += found.n_truncated
            artifact = found.artifact
            for position, reason in found.failures.items():
                failures.setdefault(begin + position, reason)
        watch.progress("embed", len(texts), len(texts), "texts")
        vectors[list(failures)] = np.nan
        embedded = Embedded(vectors, n_tokens, n_truncated, artifact)
        if failures:
            raise BadTextsError(failures, embedded)
        return embedded

    def token_starts(self, text: str) -> IntArray:
        """Offsets in code points of every token's first character, special tokens left out."""
        request = TokenStartsRequest(self._model, _sendable(text))
        return _patiently(lambda: self._engine.token_starts(request), Watch())

    def close(self) -> None:
        """Close the connections."""
        self._engine.close()

    def _embed(self, request: EmbedRequest, watch: Watch) -> BinaryEmbedded:
        found = _patiently(lambda: self._engine.embed(request), watch)
        if found.space != self.space.id:
            raise SpaceMismatchError(
                f"The service at {self._engine.address} gave vectors of space "
                f"{found.space[:12]}, expected {self.space.id[:12]} ({self.space.model}).",
                "Run the same version of embedwell in both places.",
            )
        return found


def _patiently(ask: Callable[[], Answer], watch: Watch) -> Answer:
    """Ask a busy service again, when it said to, for a while."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return ask()
        except ServiceBusyError as busy:
            if time.monotonic() + busy.retry_after_s > until:
                raise
            watch.cancelled.wait(busy.retry_after_s)
            watch.check("embed")


def _requests(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where each request begins and ends: bounded in texts and in characters."""
    begin = size = 0
    for position, text in enumerate(texts):
        length = len(text) if isinstance(text, str) else 0
        full = position - begin == _TEXTS_PER_REQUEST or size + length > _CHARACTERS_PER_REQUEST
        if full and position > begin:
            yield begin, position
            begin, size = position, 0
        size += length
    if begin < len(texts):
        yield begin, len(texts)


def _sendable(text: object) -> str:
    """The text with lone surrogates replaced by U+FFFD, as decoders do; nothing for no text."""
    if not isinstance(text, str):
        return ""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
