"""What headings have in common, whichever markup they are written in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_TITLE_CHARS = 200
"""Longer headings are cut: they are paragraphs marked as headings."""

_LINE = re.compile(r"(?:[^\S\n]*\n)+|[^\n]*\n|[^\n]+")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its line end, or neighbouring blank lines as one.

    Attributes:
        start: Position of its first character.
        end: One past its line end.
        text: The line without its line end.
    """

    start: int
    end: int
    text: str

    @property
    def is_blank(self) -> bool:
        """Whether it holds nothing but white space."""
        return not self.text.strip()

    @property
    def indent(self) -> int:
        """Columns of white space before its first character; tab stops are 4 apart."""
        lead = self.text[: len(self.text) - len(self.text.lstrip())]
        return len(lead.expandtabs(4))


class Outline:
    """The headings that hold at one place of a document, outermost first."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []

    @property
    def path(self) -> tuple[str, ...]:
        """The titles of the open headings; headings without a title are left out."""
        return tuple(title for _, title in self._open if title)

    def enter(self, level: int, title: str) -> None:
        """Open a heading; those of its level and below it are closed."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        self._open.append((level, _SPACES.sub(" ", title[:MAX_TITLE_CHARS]).strip()))


def lines(text: str) -> Iterator[Line]:
    """The lines of a text, ended by LF or CR LF; neighbouring blank lines are one."""
    for match in _LINE.finditer(text):
        yield Line(match.start(), match.end(), match.group().rstrip("\r\n"))
