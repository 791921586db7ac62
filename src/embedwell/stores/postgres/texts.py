"""Texts as PostgreSQL can hold them: its strings have no character 0."""

from __future__ import annotations

_ESCAPE = "\x1a"  # SUBSTITUTE: almost never in a text, so that texts stay readable in SQL


def to_stored(text: str) -> str:
    """A text without character 0, from which `from_stored` makes the same again."""
    if "\0" not in text and _ESCAPE not in text:
        return text
    return text.replace(_ESCAPE, f"{_ESCAPE}1").replace("\0", f"{_ESCAPE}0")


def from_stored(text: str) -> str:
    """The inverse of `to_stored`."""
    if _ESCAPE not in text:
        return text
    return text.replace(f"{_ESCAPE}0", "\0").replace(f"{_ESCAPE}1", _ESCAPE)
