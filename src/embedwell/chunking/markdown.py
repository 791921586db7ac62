"""Markdown into blocks below their headings.

After CommonMark 0.31: ATX and setext headings, fenced code, HTML comments, lists with what is
indented below them; and front matter and tables, as most sites write them. Only what decides
where a text may be cut is recognized.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from embedwell.chunking.outline import MAX_TITLE_CHARS, Line, Outline, lines
from embedwell.chunking.protocol import Segment

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"[ \t]*(?:>[ \t]?)*(`{3,}|~{3,})([^\n]*)$")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
_LINK = re.compile(r"!?\[([^\[\]]{0,200})\](?:\([^()]{0,500}\)|\[[^\[\]]{0,200}\])?")
_ATTRIBUTES = re.compile(r"\{[#.:][^{}]{0,200}\}$")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
_MARKS = re.compile(r"[`*]+|(?<!\w)_+|_+(?!\w)")
_DECLARED = re.compile(r"title[ \t]*[:=](.*)")
_INDENTED = 4


def segments(text: str, language: str) -> list[Segment]:  # noqa: ARG001 - the port's signature
    """The blocks of a Markdown text, each with the path of its headings.

    A heading belongs to the block that follows it. Fenced code, a list, a table and a paragraph
    are blocks, which are cut only where they are too long by themselves.
    """
    return blocks(text, Outline())


def blocks(text: str, outline: Outline) -> list[Segment]:
    """The same, below the headings of `outline`, which is left as the text leaves it."""
    reader = _Reader(list(lines(text)), outline)
    return reader.read()


class _Reader:
    """Reads lines from the top; `_at` is the next one."""

    def __init__(self, rows: Sequence[Line], outline: Outline) -> None:
        self._rows = rows
        self._outline = outline
        self._at = 0
        self._start: int | None = None
        self._found: list[Segment] = []

    def read(self) -> list[Segment]:
        self._front_matter()
        while self._at < len(self._rows):
            row = self._rows[self._at]
            if row.is_blank:
                self._at += 1
            elif heading := _ATX.match(row.text):
                self._heading(row.start, len(heading[1]), row.text.strip().strip("#"))
                self._at += 1
            elif not self._setext():
                self._emit(row.start, self._block_end())
        if self._start is not None:
            self._emit(self._start, len(self._rows))
        return self._found

    def _heading(self, start: int, level: int, title: str) -> None:
        self._outline.enter(level, plain(title))
        self._start = start if self._start is None else self._start

    def _emit(self, start: int, stop: int) -> None:
        """End a block before line `stop`; a heading that waits becomes its beginning."""
        start = start if self._start is None else self._start
        self._found.append(Segment(start, self._rows[stop - 1].end, self._outline.path))
        self._at, self._start = stop, None

    def _front_matter(self) -> None:
        mark = self._rows[0].text.rstrip() if self._rows else ""
        if mark not in ("---", "+++") or (len(self._rows) > 1 and self._rows[1].is_blank):
            return
        for stop in range(1, len(self._rows)):
            if self._rows[stop].text.rstrip() in (mark, "..."):
                self._declared_title(self._rows[1:stop])
                self._emit(self._rows[0].start, stop + 1)
                return

    def _declared_title(self, rows: Sequence[Line]) -> None:
        """Front matter may name the page: the same as a first-level heading."""
        for row in rows:
            if match := _DECLARED.match(row.text):
                self._outline.enter(1, match[1].strip().strip("\"'"))

    def _setext(self) -> bool:
        """Take a paragraph that is underlined as a heading."""
        at = self._at
        if not _is_paragraph(self._rows[at].text):
            return False
        while at + 1 < len(self._rows) and _is_paragraph(self._rows[at].text):
            under = _SETEXT.match(self._rows[at + 1].text)
            if under:
                title = " ".join(row.text for row in self._rows[self._at : at + 1])
                self._heading(self._rows[self._at].start, 1 if under[1][0] == "=" else 2, title)
                self._at = at + 2
                return True
            at += 1
        return False

    def _block_end(self) -> int:
        """The line after the block that begins at `_at`."""
        first = self._rows[self._at]
        if fence := _fence(first.text):
            return self._fence_end(self._at, fence)
        if first.text.lstrip().startswith("<!--"):
            return self._comment_end()
        return self._paragraph_end(_ITEM.match(first.text) is not None, first.indent)

    def _paragraph_end(self, is_list: bool, indent: int) -> int:  # noqa: FBT001 - read once, above
        at = self._at
        while at < len(self._rows):
            row = self._rows[at]
            if row.is_blank:
                at = self._next_ink(at)
                if at == len(self._rows) or not _goes_on(self._rows[at], is_list, indent):
                    return at
            elif at > self._at and _ATX.match(row.text):
                return at
            elif fence := _fence(row.text):
                if not is_list and at > self._at:
                    return at
                at = self._fence_end(at, fence)
            else:
                at += 1
        return at

    def _next_ink(self, at: int) -> int:
        while at < len(self._rows) and self._rows[at].is_blank:
            at += 1
        return at

    def _fence_end(self, at: int, fence: str) -> int:
        for stop in range(at + 1, len(self._rows)):
            line = self._rows[stop].text.strip().lstrip("> \t")
            if line.startswith(fence) and not line.strip(fence[0]):
                return stop + 1
        return len(self._rows)

    def _comment_end(self) -> int:
        for stop in range(self._at, len(self._rows)):
            if "-->" in self._rows[stop].text:
                return stop + 1
        return len(self._rows)


def plain(title: str) -> str:
    """A heading without the markup inside it."""
    title = title[: 4 * MAX_TITLE_CHARS].strip()
    title = _ATTRIBUTES.sub("", title).strip()
    title = _LINK.sub(r"\1", title)
    return _MARKS.sub("", _TAG.sub("", title)).strip()


def _fence(line: str) -> str:
    """The marks that open fenced code, else an empty string."""
    match = _FENCE.match(line)
    return match[1] if match and not (match[1][0] == "`" and "`" in match[2]) else ""


def _is_paragraph(line: str) -> bool:
    return bool(line.strip()) and not (
        _ATX.match(line)
        or _SETEXT.match(line)
        or _ITEM.match(line)
        or _fence(line)
        or line.lstrip().startswith((">", "|", "<!--"))
        or line.startswith(("    ", "\t"))
    )


def _goes_on(row: Line, is_list: bool, indent: int) -> bool:  # noqa: FBT001 - a pure decision
    """Whether a block goes on after a blank line."""
    if is_list:
        return row.indent > indent or (_ITEM.match(row.text) is not None and row.indent >= indent)
    return min(row.indent, indent) >= _INDENTED
