"""The embedder whose model another program's server runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from embedwell.core.build import BuildRecord
from embedwell.core.embedded import Embedded
from embedwell.core.errors import (
    BadTextsError,
    RemoteAnswerError,
    RemoteChangedError,
    RemoteRefusedError,
    SpaceMismatchError,
)
from embedwell.core.events import Watch
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import FloatArray, IntArray, normalized, shortened, unusable
from embedwell.engines.remote.dialect import Told
from embedwell.engines.remote.server import Server
from embedwell.runtime.printable import printable
from embedwell.runtime.remote import FindTokens
from embedwell.runtime.remote_batches import Pace, embed_part, end_of_batch
from embedwell.runtime.remote_identity import FINGERPRINTED, SENTINEL, Identity, identity
from embedwell.runtime.word_tokens import estimated_starts

# How long what the server says of itself is believed.
_LOOK_EVERY_S = 60.0
_LOOK_AT_WATCH_S = 0.1
# The tokens that a model puts around a text.
_SPECIAL_TOKENS = 2
# No model takes as many tokens as the characters of a longer text hold.
_LONGEST_TEXT = 1 << 18


@dataclass(frozen=True)
class _Asked:
    """A text as it is sent.

    Attributes:
        text: With its prompt.
        n_tokens: Counted where the tokenizer is here, else estimated, before any cut.
        is_cut: Whether it lost its end here.
    """

    text: str
    n_tokens: int
    is_cut: bool


@dataclass(frozen=True)
class Cut:
    """How vectors are shortened, see `core.vectors.shortened`.

    Attributes:
        full_dimensions: Their length before.
        centred: Whether their mean is taken off first.
    """

    full_dimensions: int
    centred: bool


class HttpEmbedder:
    """A `TextEmbedder` that asks another program's server; holds no model.

    Safe to call from several threads, and in the children of a fork.

    Args:
        server: Serves the model.
        space: The space that its vectors are declared to belong to; a `dimensions` of 0 takes the
            server's, a `max_tokens` of 0 what the server says.
        tokenizer: Gives what finds the model's tokens in this process, asked for at the first need
            of it; None where there is none, and then they are estimated.
        cut: How the server's longer vectors become the space's; None where they may not.
    """

    def __init__(
        self,
        server: Server,
        space: Space,
        tokenizer: Callable[[], FindTokens | None] = lambda: None,
        cut: Cut | None = None,
    ) -> None:
        self._server = server
        self._tokenizer = tokenizer
        self._cut = cut
        self._find_tokens: FindTokens | None = None
        self._is_counted = False
        self._identity: Identity | None = None
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._pace = Pace()
        self.space = space

    def greet(self, watch: Watch) -> Told:
        """Ask the server who it is, unless that was asked lately; completes the space.

        Raises:
            RemoteError: It does not answer as it must.
            SpaceMismatchError: Its vectors have another length than the space's.
        """
        return self._present(watch).told

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Embed texts of any number and length.

        Raises:
            BadTextsError: The server refused some texts; the error holds the other vectors.
            RemoteError: The server is away, busy or slow, refuses all, or answers nonsense.
            RemoteChangedError: It went over to another model; the next call uses that.
            SpaceMismatchError: Its vectors have another length than the space's.
            TaskCancelledError: `watch` was asked to stop.
        """
        if not len(texts):
            return self._nothing()
        present = self._present(watch)
        failures = {
            at: f"it is {type(text).__name__}, not str"
            for at, text in enumerate(texts)
            if not isinstance(text, str)
        }
        asked = [
            _Asked(SENTINEL, 0, is_cut=False) if at in failures else self._asked(text, kind)
            for at, text in enumerate(texts)
        ]
        vectors, refused, cut = self._embed_all([one.text for one in asked], present, watch)
        failures |= refused
        if vectors.shape[1] > self.space.dimensions and self._cut:
            vectors = shortened(vectors, self.space.dimensions, centred=self._cut.centred)
        vectors[list(failures)] = np.nan
        if self.space.normalized:
            vectors = normalized(vectors)
        n_tokens = np.array([one.n_tokens for one in asked], dtype=np.int64)
        cut |= {at for at, one in enumerate(asked) if one.is_cut}
        embedded = Embedded(vectors, n_tokens, len(cut - failures.keys()), present.build)
        if failures:
            raise BadTextsError(dict(sorted(failures.items())), embedded)
        return embedded

    def token_starts(self, text: str) -> IntArray:
        """Offsets in code points of every token's first character, special tokens left out.

        Estimated, and rather too many than too few, where the model's tokenizer is not here.
        """
        return self._tokens()(text)

    def check_idle(self) -> bool:
        """False: this process holds no model."""
        return False

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _embed_all(
        self, texts: Sequence[str], present: Identity, watch: Watch
    ) -> tuple[FloatArray, dict[int, str], set[int]]:
        width = len(present.sentinel)
        vectors = np.empty((len(texts), width), dtype=np.float32)
        failures: dict[int, str] = {}
        cut: set[int] = set()
        send = partial(self._send, present, watch)
        cuts = self._server.dialect(watch).cuts
        begin = 0
        while begin < len(texts):
            watch.progress("embed", begin, len(texts), "texts")
            end = end_of_batch(texts, begin, self._pace.n)
            part = embed_part(texts[begin:end], send, self._pace, cuts=cuts)
            vectors[begin:end] = part.vectors
            failures |= {begin + at: why for at, why in part.failures.items()}
            cut |= {begin + at for at in part.cut}
            begin = end
        watch.progress("embed", len(texts), len(texts), "texts")
        return vectors, failures, cut

    def _send(
        self, present: Identity, watch: Watch, texts: Sequence[str], *, cut: bool
    ) -> FloatArray:
        """One request, with the sentinel before the texts."""
        told = present.told
        if told.max_texts == 1 and len(texts):
            self._send(present, watch, (), cut=cut)
            return self._server.embed(told.model, texts, watch, cut=cut).vectors
        found = self._server.embed(told.model, (SENTINEL, *texts), watch, cut=cut)
        sentinel = found.vectors[0]
        if unusable(found.vectors[:1]).any():
            raise _nonsense(self._server.place)
        if not present.is_still(sentinel, found.model):
            if self._identity is present:
                self._identity = None
            raise RemoteChangedError(
                f"The server at {self._server.place} serves another model than before as "
                f"'{told.model}': the vector of one and the same text has moved.",
                "Embed again what was embedded before, or give the server its old model back.",
            )
        return found.vectors[1:]

    def _present(self, watch: Watch) -> Identity:
        """Who serves now."""
        with self._alone(watch):
            now, known = time.monotonic(), self._identity
            if known is not None and now - known.seen_at < _LOOK_EVERY_S:
                return known
            told = self._server.look(watch)
            if known is not None and told == known.told:
                self._identity = replace(known, seen_at=now)
            else:
                self._identity = self._identified(told, watch)
            return self._identity

    @contextmanager
    def _alone(self, watch: Watch) -> Iterator[None]:
        """One thread asks who serves; a forked child has a lock of its own."""
        if self._process != os.getpid():
            self._process, self._lock = os.getpid(), threading.Lock()
        lock = self._lock
        while not lock.acquire(timeout=_LOOK_AT_WATCH_S):
            watch.check("embed")
        try:
            yield
        finally:
            lock.release()

    def _identified(self, told: Told, watch: Watch) -> Identity:
        texts: Sequence[str] = FINGERPRINTED if told.max_texts >= len(FINGERPRINTED) else ()
        found = None
        if texts:
            try:
                found = self._server.embed(told.model, texts, watch, cut=True)
            except RemoteRefusedError as error:
                if not error.is_of_texts:  # the long one may be too long for it
                    raise
        if found is None or unusable(found.vectors).any():
            found = self._server.embed(told.model, [SENTINEL], watch, cut=True)
        if unusable(found.vectors).any():
            raise _nonsense(self._server.place)
        self._pace.limit(max(told.max_texts - 1, 1))
        self._complete(told, found.vectors.shape[1])
        return identity(
            told,
            found.model,
            found.vectors,
            model=self.space.model,
            dialect=self._server.dialect(watch).name,
            place=self._server.place,
        )

    def _complete(self, told: Told, dimensions: int) -> None:
        """Fill in what only the server knows of its space."""
        space = self.space
        fitting = {0, dimensions}
        if self._cut and self._cut.full_dimensions == dimensions:
            fitting.add(space.dimensions)
        if space.dimensions not in fitting:
            raise SpaceMismatchError(
                f"The server at {self._server.place} gives vectors of {dimensions} numbers as "
                f"'{told.model}', and {space.model} has {space.dimensions}.",
                "Let it serve that model, or name the one that it serves.",
            )
        max_tokens = space.max_tokens or told.max_tokens or _UNKNOWN_TOKENS
        self.space = replace(
            space, dimensions=space.dimensions or dimensions, max_tokens=max_tokens
        )

    def _asked(self, text: str, kind: Kind) -> _Asked:
        prompt = self.space.query_prompt if kind == "query" else self.space.document_prompt
        whole = prompt + printable(text)
        sent, most = whole[:_LONGEST_TEXT], self.space.max_tokens - _SPECIAL_TOKENS
        if len(sent.encode()) < most:  # no token is shorter than a byte
            return _Asked(sent or " ", len(estimated_starts(sent)) + _SPECIAL_TOKENS, is_cut=False)
        starts = self._tokens()(sent)
        n_tokens = len(starts) + _SPECIAL_TOKENS
        if self._is_counted and len(starts) > most:
            return _Asked(sent[: starts[most]], n_tokens, is_cut=True)
        return _Asked(sent or " ", n_tokens, is_cut=len(sent) < len(whole))

    def _tokens(self) -> FindTokens:
        if self._find_tokens is None:
            found = self._tokenizer()
            self._is_counted = found is not None
            self._find_tokens = found or estimated_starts
        return self._find_tokens

    def _nothing(self) -> Embedded:
        return Embedded(
            np.empty((0, self.space.dimensions), dtype=np.float32),
            np.empty(0, dtype=np.int64),
            0,
            BuildRecord.of_nothing(self.space.model),
        )


# What every model for embeddings takes, where a server does not say.
_UNKNOWN_TOKENS = 512


def _nonsense(place: str) -> RemoteAnswerError:
    return RemoteAnswerError(
        f"The server at {place} gives vectors that are NaN, infinite or all zero.",
        "See the server's log: its model or its build is broken.",
    )
