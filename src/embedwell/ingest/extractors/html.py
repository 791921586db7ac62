"""HTML as the text that a reader sees, with its headings."""

from __future__ import annotations

import numpy as np

from embedwell.chunking.outline import Outline
from embedwell.chunking.protocol import Segment
from embedwell.ingest.decode import decode
from embedwell.ingest.extracted import LINE_END, Extracted, LineMap, own_lines
from embedwell.ingest.extractors.markup import Token, tokens, unescaped
from embedwell.ingest.formats import Format


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


NOISE = _names(
    "script style template noscript nav footer svg canvas iframe object audio video select "
    "button textarea noembed noframes"
)
"""Elements that are left out with all that they hold: programs, navigation, controls."""

_PARAGRAPHS = _names(
    "p section article header main aside blockquote figure details form fieldset hr address "
    "h1 h2 h3 h4 h5 h6 pre ul ol dl table body"
)
_LINES = _names("li tr br dt dd div caption summary figcaption legend")
_TOGETHER = _names("ul ol dl table")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_GAPS = ("", " ", " | ", "\n", "\n\n")
_NOTHING, _SPACE, _CELL, _LINE, _PARAGRAPH = range(5)
_INVISIBLE = str.maketrans("", "", "\u00ad\u200b\ufeff")


def extract(data: bytes, form: Format) -> Extracted:  # noqa: ARG001 - the port's signature
    """The visible text of a page; segments are its paragraphs, lists and tables.

    Lines are those of the HTML source. An element of `NOISE` that is never closed would swallow
    the rest of the page: such a page is read again without leaving that element out.

    Raises:
        ExtractionError: The file is binary.
    """
    source = decode(data)
    noise = NOISE
    while True:
        page = _Page(source, noise)
        for token in tokens(source):
            page.take(token)
        if not page.swallowed_by:
            return page.extracted()
        noise = noise - {page.swallowed_by}


class _Writer:
    """Text with single gaps between its words, and the source line of each of its parts."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._length = 0
        self._gap = _NOTHING
        self._lines: list[tuple[int, int]] = [(0, 1)]

    def widen(self, gap: int) -> None:
        """Ask for a gap before the next words; the widest one asked for stands."""
        self._gap = max(self._gap, gap)

    def write(self, words: str, line: int) -> tuple[int, int]:
        """Append words of one source line after the gap.

        Returns:
            Where they begin, and the gap before them; the first words follow a paragraph's.
        """
        gap = self._gap if self._length else _PARAGRAPH
        before = _GAPS[gap] if self._length else ""
        start = self._length + len(before)
        self.parts += (before, words)
        self._length, self._gap = start + len(words), _NOTHING
        if line != self._lines[-1][1]:
            self._lines.append((start, line))
        return start, gap

    def finished(self) -> tuple[str, LineMap]:
        offsets, lines = np.array(self._lines, dtype=np.int64).T
        return "".join(self.parts), LineMap(offsets, lines)


class _Page:
    """Collects the text and the structure of a page, token by token."""

    def __init__(self, source: str, noise: frozenset[str]) -> None:
        self._source_line = own_lines(source)
        self._noise = noise
        self._writer = _Writer()
        self._outline = Outline()
        self._blocks: list[tuple[int, tuple[str, ...]]] = []
        self._level = 0  # of the heading that is open
        self._heading_from: int | None = None  # its first part in the writer
        self._is_bare = False  # whether the last block holds nothing but headings yet
        self._skipping, self._skip_depth = "", 0
        self._n_together = self._n_pre = self._n_breaks = 0
        self._title_is_open, self._title = False, ""

    @property
    def swallowed_by(self) -> str:
        """The left-out element that is still open; empty where there is none."""
        return self._skipping

    def take(self, token: Token) -> None:
        """Read one token."""
        is_open = token.kind == "open"
        if self._skipping:
            if token.value == self._skipping and token.kind != "data":
                self._skip_depth += 1 if is_open else -1
                self._skipping = self._skipping if self._skip_depth else ""
        elif token.kind == "data":
            self._data(token)
        elif is_open and token.value in self._noise:
            self._skipping, self._skip_depth = token.value, 1
            self._writer.widen(_SPACE)
        else:
            self._tag(token.value, is_open=is_open)

    def extracted(self) -> Extracted:
        """What was read; text before any heading has the page's title as its path."""
        self._end_heading()
        text, line_of = self._writer.finished()
        starts = [start for start, _ in self._blocks]
        root = (self._title,) if self._title else ()
        segments = [
            Segment(start, end, path or root)
            for (start, path), end in zip(self._blocks, [*starts[1:], len(text)], strict=False)
        ]
        return Extracted(text, segments, line_of)

    def _tag(self, name: str, *, is_open: bool) -> None:
        if name == "title":
            self._title_is_open = is_open and not self._title
        if name in _PARAGRAPHS and is_open:
            self._end_heading()
        if name == "pre":
            self._n_pre = max(0, self._n_pre + (1 if is_open else -1))
            self._n_breaks = 0
        if name in _TOGETHER and not is_open:
            self._n_together = max(0, self._n_together - 1)
        if name in _PARAGRAPHS:
            is_inside = self._n_together and name not in _HEADINGS
            self._writer.widen(_LINE if is_inside else _PARAGRAPH)
        elif name in _LINES:
            self._writer.widen(_LINE)
        elif name in ("td", "th"):
            self._writer.widen(_CELL)
        if name in _TOGETHER and is_open:
            self._n_together += 1
        if name in _HEADINGS:
            self._end_heading()
            self._level = _HEADINGS[name] if is_open else 0

    def _data(self, token: Token) -> None:
        """Read text between tags, source line by source line."""
        if self._title_is_open:
            self._title = " ".join(unescaped(token.value).split())
            return
        start = 0
        for line_end in (*LINE_END.finditer(token.value), None):
            end = line_end.start() if line_end else len(token.value)
            raw = unescaped(token.value[start:end]).translate(_INVISIBLE)
            if raw.strip():
                self._words(raw, self._source_line(token.at + start))
            elif raw:
                self._writer.widen(_SPACE)
            if line_end:
                start = line_end.end()
                self._n_breaks += 1
                self._writer.widen(_LINE if self._n_pre else _SPACE)

    def _words(self, raw: str, line: int) -> None:
        """Write the words of one source line; begin a block where one is due."""
        if self._n_pre:
            words = "\n" * (self._n_breaks - 1) + raw.rstrip()
        else:
            words = " ".join(raw.split())
            self._writer.widen(_SPACE if raw[0].isspace() else _NOTHING)
        self._n_breaks = 0
        first_part = len(self._writer.parts)
        start, gap = self._writer.write(words, line)
        if gap == _PARAGRAPH and not self._is_bare:
            self._blocks.append((start, self._outline.path))
        if self._level and self._heading_from is None:
            self._heading_from = first_part
        self._is_bare = bool(self._level) and (self._is_bare or gap == _PARAGRAPH)
        if not self._n_pre and raw[-1].isspace():
            self._writer.widen(_SPACE)

    def _end_heading(self) -> None:
        """Enter the heading that was read; its block and what follows lie below it."""
        if self._heading_from is not None:
            title = "".join(self._writer.parts[self._heading_from :])
            self._outline.enter(self._level, title)
            self._blocks[-1] = (self._blocks[-1][0], self._outline.path)
        self._level, self._heading_from = 0, None
