"""Texts to a server in requests that it takes: as many at once as it allows and is quick with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from embedwell.core.errors import RemoteAnswerError, RemoteRefusedError, RemoteSlowError
from embedwell.core.vectors import FloatArray, unusable
from embedwell.engines.remote.faults import says_too_much

_FIRST, _MOST = 32, 256
_CHARACTERS_PER_REQUEST = 200_000
# Quick requests grow and slow ones shrink: a stop is heard, and a slow machine keeps its time.
_QUICK_S, _SLOW_S = 1.0, 5.0
# A text that only its length is wrong with is sent again without its end, so much at a time.
_KEPT, _N_SHORTER = 0.7, 30
_UNUSABLE = "the server's vector for it is NaN, infinite or only zeros"


class Send(Protocol):
    """Sends texts in one request and gives a vector for each, NaN where one failed."""

    def __call__(self, texts: Sequence[str], *, cut: bool) -> FloatArray:
        """No text asks only whether the server still takes anything.

        Raises:
            RemoteError: The server is away, slow or busy, or refuses the texts.
        """
        ...


@dataclass
class Pace:
    """How many texts go into one request; learned from the server.

    Attributes:
        n: So many now.
        most: Never more.
    """

    n: int = _FIRST
    most: int = _MOST

    def limit(self, most: int) -> None:
        """The server takes no more than this."""
        self.most = max(min(most, self.most), 1)
        self.n = min(self.n, self.most)

    def took(self, n: int, seconds: float) -> None:
        """A request of n texts was answered after so long."""
        if seconds > _SLOW_S:
            self.n = max(n // 2, 1)
        elif seconds < _QUICK_S and n >= self.n:
            self.n = min(2 * self.n, self.most)


@dataclass
class Part:
    """What became of some texts.

    Attributes:
        vectors: float32, shape (n, d); NaN where one failed.
        failures: Why, by position.
        cut: Positions of those that lost their end.
    """

    vectors: FloatArray
    failures: dict[int, str] = field(default_factory=dict)
    cut: set[int] = field(default_factory=set)

    @property
    def is_whole(self) -> bool:
        """Whether nothing was wrong with any text."""
        return not self.failures and not self.cut


def end_of_batch(texts: Sequence[str], begin: int, n: int) -> int:
    """Where a request that begins at a text ends: after n texts, or after many characters."""
    end, n_characters = begin, 0
    while end < len(texts) and end - begin < n:
        n_characters += len(texts[end])
        if end > begin and n_characters > _CHARACTERS_PER_REQUEST:
            break
        end += 1
    return end


def embed_part(texts: Sequence[str], send: Send, pace: Pace, *, cuts: bool) -> Part:
    """Embed one batch, in halves where the server refuses it or is too slow.

    Args:
        texts: At least one, none of them empty.
        send: Asks the server.
        pace: Learns from this.
        cuts: Whether the server can cut a text that is too long; else it is shortened here.

    Raises:
        RemoteError: The server does not do what it should, whatever the text.
    """
    begun = time.monotonic()
    try:
        vectors = send(texts, cut=False)
    except RemoteSlowError:
        pace.took(len(texts), float("inf"))
        if len(texts) == 1:
            raise
        return _halved(texts, send, pace, cuts=cuts)
    except RemoteRefusedError as error:
        if not error.is_of_texts:
            raise
        if len(texts) == 1:
            return _alone(texts[0], f"the server refused it: {error.said}", send, cuts=cuts)
        part = _halved(texts, send, pace, cuts=cuts)
        if part.is_whole:  # it was their number
            pace.limit(len(texts) // 2)
        return part
    pace.took(len(texts), time.monotonic() - begun)
    return _mended(texts, vectors, send, cuts=cuts)


def _halved(texts: Sequence[str], send: Send, pace: Pace, *, cuts: bool) -> Part:
    half = len(texts) // 2
    left = embed_part(texts[:half], send, pace, cuts=cuts)
    right = embed_part(texts[half:], send, pace, cuts=cuts)
    return Part(
        np.concatenate((left.vectors, right.vectors)),
        left.failures | {half + at: why for at, why in right.failures.items()},
        left.cut | {half + at for at in right.cut},
    )


def _mended(texts: Sequence[str], vectors: FloatArray, send: Send, *, cuts: bool) -> Part:
    """Ask again, one by one, for the texts whose vectors are unusable."""
    part = Part(vectors)
    for at in np.flatnonzero(unusable(vectors)).tolist():
        # That is how KoboldCpp answers to a text that is too long.
        alone = _alone(texts[at], "too long" if cuts else _UNUSABLE, send, cuts=cuts)
        vectors[at] = alone.vectors[0]
        if alone.failures:
            part.failures[at] = alone.failures[0]
        if alone.cut:
            part.cut.add(at)
    return part


def _alone(text: str, said: str, send: Send, *, cuts: bool) -> Part:
    """A text that was refused: cut where that is what was wrong with it, else failed."""
    if says_too_much(said):
        for shorter in [text] if cuts else _shortened(text):
            try:
                vectors = send([shorter], cut=True)
            except RemoteRefusedError as error:
                if not error.is_of_texts:
                    raise
                said = f"the server refused it: {error.said}"
                continue
            if not unusable(vectors).any():
                return Part(vectors, cut={0})
            said = _UNUSABLE
    try:
        width = send([], cut=False).shape[1]
    except RemoteRefusedError as error:
        if error.is_of_texts:
            raise RemoteAnswerError(
                f"The server refuses every text now: {error.said}.", "See the server's log."
            ) from error
        raise
    return Part(np.full((1, width), np.nan, np.float32), {0: said})


def _shortened(text: str) -> list[str]:
    sizes = [int(len(text) * _KEPT**n) for n in range(1, _N_SHORTER)]
    return [text[:size] for size in dict.fromkeys(sizes) if size]
