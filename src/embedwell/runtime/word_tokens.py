"""Where tokens may begin, for models whose tokenizer is not here."""

from __future__ import annotations

import re

import numpy as np

from embedwell.core.vectors import IntArray

# Rarely does a vocabulary need more: three letters of English or code, two of other alphabets,
# every digit, sign or ideograph by itself.
_PIECE = re.compile(r"[A-Za-z]{1,3}|[^\W\d_A-Za-z\u2e80-\U0010ffff]{1,2}|\S")
_LAST_OF_PLANE = "\uffff"


def estimated_starts(text: str) -> IntArray:
    """Offsets in code points where tokens may begin: rather too many than too few.

    An emoji counts twice: vocabularies spell it in bytes.
    """
    found: list[int] = []
    for piece in _PIECE.finditer(text):
        found += [piece.start()] * (2 if piece.group() > _LAST_OF_PLANE else 1)
    return np.array(found, dtype=np.int64)
