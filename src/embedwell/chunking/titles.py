"""Titles that leave room for the passage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

CountTokens = Callable[[str], int]
ELLIPSIS = "…"
MAX_PARTS = 8
"""As many inner parts of a path are shown."""


@dataclass(frozen=True)
class Title:
    """A title as it is embedded before the passage.

    Attributes:
        text: The path as shown, shortened where it was too long; may be empty.
        n_tokens: Tokens that it takes from the passage.
    """

    text: str
    n_tokens: int


def titled(title: str, passage: str) -> str:
    """The text that is embedded for a chunk: its title on a line before its passage."""
    return f"{title}\n{passage}" if title else passage


def fit_title(path: tuple[str, ...], joint: str, limit: int, count: CountTokens) -> Title:
    """Shorten a path until it fits: outer parts go first, then the middle of the last part.

    Args:
        path: Headings or symbols, outermost first.
        joint: What stands between them.
        limit: Most tokens that the title may take.
        count: Number of tokens of a text.

    Returns:
        The title; empty where not even one letter of it fits.
    """
    for n_dropped in range(max(0, len(path) - MAX_PARTS), len(path)):
        parts = (ELLIPSIS, *path[n_dropped:]) if n_dropped else path
        title = _title(joint.join(parts), count)
        if title.n_tokens <= limit:
            return title
    last = path[-1] if path else ""
    kept = min(len(last), 4 * limit)
    while kept:
        head, tail = (kept + 1) // 2, kept // 2
        title = _title(last[:head] + ELLIPSIS + last[len(last) - tail :], count)
        if title.n_tokens <= limit:
            return title
        kept //= 2
    return Title("", 0)


def _title(text: str, count: CountTokens) -> Title:
    # The line end after the title is a token of its own for some tokenizers.
    return Title(text, count(f"{text}\n") if text else 0)
