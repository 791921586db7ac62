"""Which lines of a passage to show for a query. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])")
_MIN_STEM = 4
"""Words that share so many first letters, and all but the last three, count as the same."""


@dataclass(frozen=True)
class Excerpt:
    """Some lines of a passage, one after the other.

    Attributes:
        first_line: How many lines of the passage stand before them.
        lines: The lines, without line ends.
    """

    first_line: int
    lines: tuple[str, ...]


def excerpt(text: str, query: str, max_lines: int) -> Excerpt:
    """The lines with the most different words of a query; the first ones where none has any.

    Case, accents and endings do not matter. Rare words of the passage count more than those on
    most of its lines. Blank lines at either end are not shown.

    Args:
        text: The passage.
        query: What was searched.
        max_lines: Most lines to give, at least 1.
    """
    lines = text.splitlines()
    filled = [at for at, line in enumerate(lines) if line.strip()]
    if not filled:
        return Excerpt(0, ())
    wanted = _words(query)
    found = [{word for word in wanted if _occurs(word, _words(line))} for line in lines]
    weight = {word: 1 / sum(word in here for here in found) for word in set().union(*found)}
    begin = max(filled, key=lambda at: (_worth(found[at : at + max_lines], weight), -at))
    end = min(begin + max_lines, len(lines))
    while not lines[end - 1].strip():
        end -= 1
    return Excerpt(begin, tuple(lines[begin:end]))


def _worth(found: list[set[str]], weight: dict[str, float]) -> float:
    """What a window's words weigh, rounded so that equal windows tie."""
    return round(sum(weight[word] for word in set().union(*found)), 9)


def _words(text: str) -> set[str]:
    parts = _HUMP.sub(" ", text)
    return {_plain(word) for word in [*_WORD.findall(text), *_WORD.findall(parts)]}


def _plain(word: str) -> str:
    apart = unicodedata.normalize("NFKD", word.casefold())
    return "".join(mark for mark in apart if not unicodedata.combining(mark))


def _occurs(word: str, words: set[str]) -> bool:
    """Whether a word is among others, up to its ending."""
    if word in words:
        return True
    stem = word[: max(_MIN_STEM, len(word) - 3)]
    return len(word) > _MIN_STEM and any(
        other.startswith(stem) and len(other) - len(stem) <= 3 for other in words
    )
