"""Where to cut a passage that is too long."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from embedwell.chunking.protocol import TokenStarts
from embedwell.chunking.tokens import TokenIndex

_BLANKS = re.compile(r"\s*")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
_LINE = re.compile(r"(?:\n|\r(?!\n))[^\S\n]*")
_SENTENCE = re.compile("[.!?…][\"'\u201d\u2019»)\\]]*\\s+|[\u3002\uff01\uff1f]")
_WORD = re.compile(r"\s+")
_MAX_INDENT = 80


class Cutter:
    """Cuts spans of one text so that each piece fits.

    Args:
        text: The whole document.
        joints: Ascending positions that are the best places to cut.
        tokens: Its tokens.
        token_starts: The tokenizer, asked again where a word had to be cut.
    """

    def __init__(
        self, text: str, joints: Sequence[int], tokens: TokenIndex, token_starts: TokenStarts
    ) -> None:
        self._text = text
        self._joints = joints
        self._tokens = tokens
        self._token_starts = token_starts

    def cut(self, start: int, end: int, limit: int) -> list[tuple[int, int]]:
        """Cut [start, end) into pieces of at most `limit` tokens, about equally long.

        Only blanks lie between the pieces. A single character is never cut, whatever it takes.

        Returns:
            Start and end of each piece, without outer blanks.
        """
        pieces: list[tuple[int, int]] = []
        start = self._skip_blanks(start, end)
        while start < end:
            stop = self._stop(start, end, limit)
            if self._is_in_word(start) or self._is_in_word(stop):
                stop = self._retokenized(start, stop, limit)
            pieces.append((start, self._strip_end(start, stop)))
            start = self._skip_blanks(stop, end)
        return pieces

    def _stop(self, start: int, end: int, limit: int) -> int:
        if self._tokens.fits(start, end, limit):
            return end
        size = self._tokens.size(start, end)
        n_pieces = -(-size // limit)
        target = -(-size // n_pieces)
        low = max(self._tokens.after(start, target // 2), start + 1)
        high = max(self._tokens.after(start, limit), low)
        middle = self._tokens.after(start, target)
        joint = self._joint(start, low, middle, high, limit)
        return _boundary(self._text, low, middle, high) if joint is None else joint

    def _joint(self, start: int, low: int, middle: int, high: int, limit: int) -> int | None:
        """The joint nearest to the middle; an earlier one where what follows it fits whole."""
        joints = self._joints
        first, last = bisect_left(joints, low), bisect_right(joints, high)
        if first < last:
            return min(joints[first:last], key=lambda joint: abs(joint - middle))
        if first and joints[first - 1] > start:
            before = joints[first - 1]
            after = joints[first] if first < len(joints) else len(self._text)
            if self._tokens.size(before, after) <= limit:
                return before
        return None

    def _retokenized(self, start: int, stop: int, limit: int) -> int:
        """Shorten a piece with a cut word until it fits: its parts have other tokens."""
        while True:
            n_tokens = len(self._token_starts(self._text[start:stop]))
            if n_tokens <= limit or stop - start == 1:
                return stop
            stop = start + max(1, (stop - start) * limit // (n_tokens + 1))

    def _is_in_word(self, at: int) -> bool:
        inside = 0 < at < len(self._text)
        return inside and not (self._text[at - 1].isspace() or self._text[at].isspace())

    def _skip_blanks(self, start: int, end: int) -> int:
        match = _BLANKS.match(self._text, start, end)
        return match.end() if match else start

    def _strip_end(self, start: int, end: int) -> int:
        return start + len(self._text[start:end].rstrip())


def _boundary(text: str, low: int, middle: int, high: int) -> int:
    """The best place to cut in [low, high]: blank line > line > sentence > word > the end.

    Among lines, the least indented ones come first: a statement before what continues it.
    """
    for pattern in (_BLANK_LINE, _LINE):
        stops = _stops(pattern, text, low, high)
        if stops:
            return min(stops, key=lambda stop: (_indent(text, stop), abs(stop - middle)))
    for pattern in (_SENTENCE, _WORD):
        stops = _stops(pattern, text, low, high)
        if stops:
            return min(stops, key=lambda stop: abs(stop - middle))
    return high


def _stops(pattern: re.Pattern[str], text: str, low: int, high: int) -> list[int]:
    return [match.end() for match in pattern.finditer(text, low - 1, high)]


def _indent(text: str, at: int) -> int:
    line = text[max(0, at - _MAX_INDENT) : at]
    return len(line) - 1 - max(line.rfind("\n"), line.rfind("\r"))
