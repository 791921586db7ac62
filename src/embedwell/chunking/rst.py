"""reStructuredText into blocks below their section titles.

After the docutils specification: a title is a line under, or between, lines of one punctuation
character; the order in which the styles appear gives the levels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from embedwell.chunking.outline import Line, Outline, lines
from embedwell.chunking.protocol import Segment

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1+$")
_ROLE = re.compile(r":[\w:.+-]{1,60}:`([^`<]{1,200})(?:<[^`]{0,200}>)?`")
_MARKS = re.compile(r"[`*|]+")
MIN_ADORNMENT = 3


def segments(text: str, language: str) -> list[Segment]:  # noqa: ARG001 - the port's signature
    """The blocks of a reStructuredText document, each with the path of its titles.

    A title belongs to the block that follows it. A directive, a literal block and a list item
    stay with what is indented below them.
    """
    return _Reader(list(lines(text))).read()


class _Reader:
    """Reads lines from the top; `_at` is the next one."""

    def __init__(self, rows: Sequence[Line]) -> None:
        self._rows = rows
        self._outline = Outline()
        self._styles: list[str] = []
        self._at = 0
        self._start: int | None = None
        self._found: list[Segment] = []

    def read(self) -> list[Segment]:
        while self._at < len(self._rows):
            if self._rows[self._at].is_blank:
                self._at += 1
            elif not self._title():
                self._emit(self._rows[self._at].start, self._block_end())
        if self._start is not None:
            self._emit(self._start, len(self._rows))
        return self._found

    def _emit(self, start: int, stop: int) -> None:
        start = start if self._start is None else self._start
        self._found.append(Segment(start, self._rows[stop - 1].end, self._outline.path))
        self._at, self._start = stop, None

    def _title(self) -> bool:
        """Take a section title at `_at`."""
        first, second, third = (self._text(self._at + ahead) for ahead in range(3))
        if _is_title(second, third) and first == third and _style(first):
            title, style, n_rows = second, first[0] * 2, 3
        elif _is_title(first, second):
            title, style, n_rows = first, second[0], 2
        else:
            return False
        if style not in self._styles:
            self._styles.append(style)
        start = self._rows[self._at].start
        self._start = start if self._start is None else self._start
        self._outline.enter(self._styles.index(style) + 1, _plain(title))
        self._at += n_rows
        return True

    def _text(self, at: int) -> str:
        return self._rows[at].text.rstrip() if at < len(self._rows) else ""

    def _block_end(self) -> int:
        """The line after the block that begins at `_at`: what is indented goes on after blanks."""
        indent = self._rows[self._at].indent
        at = self._at + 1
        while at < len(self._rows):
            row = self._rows[at]
            if row.is_blank:
                at += 1
                if at == len(self._rows) or self._rows[at].indent <= indent:
                    return at
            elif _is_title(row.text, self._text(at + 1)):
                return at
            else:
                at += 1
        return at


def _style(line: str) -> str:
    match = _ADORNMENT.match(line)
    return match[1] if match and len(line) >= MIN_ADORNMENT else ""


def _is_title(line: str, under: str) -> bool:
    text = line.rstrip()
    return bool(
        text.strip() and _style(under) and not _style(text.strip()) and len(under) >= len(text)
    )


def _plain(title: str) -> str:
    """A title without the markup inside it."""
    return _MARKS.sub("", _ROLE.sub(r"\1", title[:400])).strip()
