"""HTML into tags and data, in time that grows with its length whatever it holds.

The standard library's `html.parser` takes time that grows with the square of the length on broken
markup (81 s for 64 KiB of `<a <a <a …` in Python 3.11.2), so it cannot read files of strangers.
This reads what the WHATWG tokenizer reads as far as text and tag names go; attributes are skipped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

RAW_TEXT = frozenset(
    ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
)
"""Elements whose content holds no tags."""

_NAME = re.compile(r"[a-zA-Z][^\s/>]{0,63}")
_STOP = re.compile(r"[>\"']")
_END_OF = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in RAW_TEXT}
_HUGE_REFERENCE = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{8,});?")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of markup.

    Attributes:
        kind: `open` and `close` for tags, `data` for what lies between them.
        value: The tag's name in lower case, or the data as it stands in the source.
        at: Position of the data in the source, or of the tag.
    """

    kind: Literal["open", "close", "data"]
    value: str
    at: int


def tokens(source: str) -> Iterator[Token]:
    """Read HTML from the top; what is broken is taken as data or left out, never an error."""
    at, data_from = 0, 0
    tags = _Tags(source)
    while (at := source.find("<", at)) >= 0:
        token, end = tags.read(at)
        if end == at:  # not markup after all
            at += 1
            continue
        if at > data_from:
            yield Token("data", source[data_from:at], data_from)
        if token:
            yield token
        at = data_from = end
        if token and token.kind == "open" and token.value in RAW_TEXT:
            found = _END_OF[token.value].search(source, end)
            at = found.start() if found else len(source)
            if at > end:
                yield Token("data", source[end:at], end)
            data_from = at
    if data_from < len(source):
        yield Token("data", source[data_from:], data_from)


def unescaped(data: str) -> str:
    """Character references as characters; impossible ones as U+FFFD."""
    return html.unescape(_HUGE_REFERENCE.sub("\ufffd", data)) if "&" in data else data


class _Tags:
    """Finds where the markup at a `<` ends; remembers what no longer occurs to the right."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._absent: set[str] = set()

    def read(self, at: int) -> tuple[Token | None, int]:
        """The tag at `at`, if it is one, and the end of the markup; `at` where it is data."""
        source = self._source
        if source.startswith("<!--", at):
            end = self._find("-->", at + 4)
            return None, end + 3 if end >= 0 else len(source)
        following = source[at + 1 : at + 2]
        if following in ("!", "?"):
            end = self._find(">", at)
            return None, end + 1 if end >= 0 else at
        is_close = following == "/"
        name = _NAME.match(source, at + 1 + is_close)
        end = self._tag_end(name.end()) if name else -1
        if name is None or end < 0:
            return None, at
        return Token("close" if is_close else "open", name.group().lower(), at), end

    def _tag_end(self, at: int) -> int:
        """One past the `>` that ends a tag; quoted values may hold others."""
        while ">" not in self._absent:
            stop = _STOP.search(self._source, at)
            if stop is None:
                self._absent.add(">")
                break
            at = stop.end()
            if stop.group() == ">":
                return at
            if self._source[max(0, at - 3) : at - 1].rstrip().endswith("="):
                close = self._find(stop.group(), at)
                at = close + 1 if close >= 0 else at
        return -1

    def _find(self, mark: str, at: int) -> int:
        if mark in self._absent:
            return -1
        found = self._source.find(mark, at)
        if found < 0:
            self._absent.add(mark)
        return found
