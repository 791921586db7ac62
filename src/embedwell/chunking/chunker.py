"""Segments into chunks that fit the model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from embedwell.chunking.cutting import Cutter
from embedwell.chunking.grouping import Measure, covering, group
from embedwell.chunking.protocol import Chunk, Segment, TokenStarts
from embedwell.chunking.titles import Title, fit_title
from embedwell.chunking.tokens import TokenIndex

TITLE_SHARE = 4
"""A title takes at most 1/4 of a chunk's tokens."""


def chunk(
    text: str, segments: Sequence[Segment], token_starts: TokenStarts, max_tokens: int
) -> list[Chunk]:
    """Cut a text into passages by its structure.

    A section or class that fits stays whole; small neighbours below the same heading or symbol
    are joined; what is too long is cut at the best boundary.

    Args:
        text: The whole document.
        segments: Its structure; what they leave out is taken as segments without title.
        token_starts: The model's tokenizer.
        max_tokens: Most tokens of a chunk with its title (see `titles.titled`), without special
            tokens and prompt; at least 1.

    Returns:
        Chunks in order, without overlap and without outer blanks; every character that is not
        blank lies in exactly one of them. A chunk may hold more than `max_tokens` only where a
        single character has more.
    """
    tokens = TokenIndex(text, token_starts)

    @cache
    def title_of(path: tuple[str, ...], joint: str) -> Title:
        return fit_title(
            path, joint, max_tokens // TITLE_SHARE, lambda title: len(token_starts(title))
        )

    measure = Measure(
        passage=lambda unit: tokens.size(unit.start, unit.end),
        title=lambda unit: title_of(unit.path, unit.joint).n_tokens,
        limit=max_tokens,
    )
    covered = covering(text, segments)
    cutter = Cutter(text, [segment.start for segment in covered], tokens, token_starts)
    chunks: list[Chunk] = []
    for unit in group(covered, measure):
        title = title_of(unit.path, unit.joint)
        pieces = cutter.cut(unit.start, unit.end, max_tokens - title.n_tokens)
        chunks += [Chunk(start, end, title.text) for start, end in pieces]
    return chunks
