"""Long lists of texts in parts that are bounded in texts and in characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def windows(texts: Sequence[object], n_texts: int, n_characters: int) -> Iterator[tuple[int, int]]:
    """Where each part begins and ends.

    Args:
        texts: What is cut; what is no text counts as empty.
        n_texts: Most texts of a part.
        n_characters: Most characters of a part; a longer text is a part of its own.

    Yields:
        First position and one past the last; every text is in exactly one part, in order.
    """
    begin = size = 0
    for position, text in enumerate(texts):
        length = len(text) if isinstance(text, str) else 0
        full = position - begin == n_texts or size + length > n_characters
        if full and position > begin:
            yield begin, position
            begin, size = position, 0
        size += length
    if begin < len(texts):
        yield begin, len(texts)
