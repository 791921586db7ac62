"""Fakes for the tests of programs that use embedwell."""

from __future__ import annotations

import re

import numpy as np

from embedwell.core.vectors import IntArray

_WORD = re.compile(r"\S+")


def word_starts(text: str) -> IntArray:
    """Stand in for a tokenizer: every word is one token.

    Returns:
        int64, shape (n_words,): offset in code points of each word's first character.
    """
    return np.array([match.start() for match in _WORD.finditer(text)], dtype=np.int64)
