"""Where the tokens of a whole document begin, found once and asked many times."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from embedwell.chunking.protocol import TokenStarts
from embedwell.core.vectors import IntArray

WINDOW_CHARS = 65_536
"""Characters handed to the tokenizer at a time, so that its memory does not grow with the text."""

LONG_CHARS = 64
"""A stretch longer than this without a token's start is an endless word or a wide blank."""

FILL_CHARS = 16
"""Such a stretch counts as a token every so many characters, so that chunks stay readable."""

_LAST_BLANK = 0x3000
_IS_BLANK = np.array([chr(code).isspace() for code in range(_LAST_BLANK + 2)])


class TokenIndex:
    """Token counts between any two characters of a text; found when they are first asked for.

    Args:
        text: The whole document.
        token_starts: The tokenizer.
    """

    def __init__(self, text: str, token_starts: TokenStarts) -> None:
        self._text = text
        self._token_starts = token_starts

    def fits(self, start: int, end: int, limit: int) -> bool:
        """Whether `self.size(start, end) <= limit`; the tokenizer is not asked for little.

        No tokenizer makes more tokens than ASCII has characters, beside one for the beginning.
        """
        if end - start < limit and self._text[start:end].isascii():
            return True
        return self.size(start, end) <= limit

    def size(self, start: int, end: int) -> int:
        """Tokens that begin in [start, end), where endless words and wide blanks count for more."""
        first, last = self._filled.searchsorted((start, end))
        return int(last - first)

    def after(self, start: int, size: int) -> int:
        """The furthest end for which `self.size(start, end) <= size`."""
        at = int(self._filled.searchsorted(start)) + size
        return int(self._filled[at]) if at < len(self._filled) else len(self._text)

    @cached_property
    def _filled(self) -> IntArray:
        text = self._text
        parts = [
            _window_starts(text, start, end, self._token_starts) for start, end in _windows(text)
        ]
        return _with_fills(np.concatenate(parts) if parts else np.empty(0, np.int64), len(text))


def _windows(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = start + WINDOW_CHARS
        if end < len(text):
            end = _last_blank(text, start, end)
        yield start, min(end, len(text))
        start = end


def _last_blank(text: str, start: int, end: int) -> int:
    """The last position in [start, end] that follows a line end or space, else `end`."""
    for mark in ("\n", " "):
        found = text.rfind(mark, start, end)
        if found >= 0:
            return found + 1
    return end


def _window_starts(text: str, start: int, end: int, token_starts: TokenStarts) -> IntArray:
    """Starts of the tokens of one window; those on blanks move to what follows.

    Some tokenizers count the blank before a word into its token. Chunks are stripped of outer
    blanks, and the word must still be counted in the chunk that holds it.
    """
    window = text[start:end]
    codes = np.frombuffer(window.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    ink = np.flatnonzero(~_IS_BLANK[np.minimum(codes, _LAST_BLANK + 1)])
    if not len(ink):
        return np.empty(0, dtype=np.int64)
    starts = token_starts(window)
    return start + ink[np.minimum(ink.searchsorted(starts), len(ink) - 1)]


def _with_fills(starts: IntArray, length: int) -> IntArray:
    """Add a start every `FILL_CHARS` characters to stretches longer than `LONG_CHARS`."""
    edges = np.concatenate(([0], starts, [length]))
    fills = [
        np.arange(edges[at] + FILL_CHARS, edges[at + 1], FILL_CHARS, dtype=np.int64)
        for at in np.flatnonzero(np.diff(edges) > LONG_CHARS)
    ]
    return np.sort(np.concatenate([starts, *fills])) if fills else starts
