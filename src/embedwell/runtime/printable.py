"""Text that every tokenizer and every protocol takes."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD, as decoders do."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
