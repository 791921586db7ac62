"""The model's own tokenizer: texts to ids, cut exactly where the model's maximum falls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer as TextTokenizer

from embedwell.core.vectors import IntArray
from embedwell.models.tokenizer_file import open_tokenizer
from embedwell.runtime.printable import printable

# A word longer than this many characters is one unknown token in every WordPiece model.
_LONGEST_WORD = 100
# A text of this many characters a token is read in part first: most of it would be cut away.
_CHARACTERS_PER_TOKEN = 32
# The library keeps strings, offsets and masks of every token, some hundred bytes, until the ids
# are taken out of it.
_TEXTS_AT_ONCE = 32


@dataclass(frozen=True)
class TokenIds:
    """The ids of one text after the cut, and how many there were before it."""

    ids: npt.NDArray[np.int32]
    n_tokens: int


class Tokenizer:
    """Tokenizes for one model.

    Args:
        file: `tokenizer.json` in the `tokenizers` library's form.
        max_tokens: Longest input, special tokens included.
    """

    def __init__(self, file: Path, max_tokens: int) -> None:
        self._tokenizer = open_tokenizer(file)
        self._max_tokens = max_tokens
        self._end = self._tokenizer.encode("").ids[-1:]

    def encode(self, texts: Sequence[str]) -> list[TokenIds]:
        """Ids of each text with special tokens, at most the model's maximum."""
        found: list[TokenIds] = []
        for begin in range(0, len(texts), _TEXTS_AT_ONCE):
            found += self._encode(texts[begin : begin + _TEXTS_AT_ONCE])
        return found

    def _encode(self, texts: Sequence[str]) -> list[TokenIds]:
        texts = [printable(text) for text in texts]
        heads = [head_of(self._tokenizer, text, self._max_tokens) for text in texts]
        encodings = self._tokenizer.encode_batch_fast(heads)
        return [
            self._cut(encoding.ids, text, head)
            for encoding, text, head in zip(encodings, texts, heads, strict=True)
        ]

    def starts(self, text: str) -> IntArray:
        """Offsets in code points of every token's first character, special tokens left out."""
        encoding = self._tokenizer.encode(printable(text), add_special_tokens=False)
        return np.array([start for start, _ in encoding.offsets], dtype=np.int64)

    def _cut(self, ids: list[int], text: str, head: str) -> TokenIds:
        n_tokens = estimated(len(ids), head, text)
        if len(ids) > self._max_tokens:
            ids = ids[: self._max_tokens - len(self._end)] + self._end
        return TokenIds(np.array(ids, dtype=np.int32), n_tokens)


def head_of(tokenizer: TextTokenizer, text: str, n_tokens: int) -> str:
    """The part of a text that is sure to hold more than so many tokens; all of it where it is not.

    Of a text of a million words the library would hold hundreds of megabytes.
    """
    size = n_tokens * _CHARACTERS_PER_TOKEN
    while size < len(text):
        head = text[:size]
        words = head[: -_LONGEST_WORD - 1]
        if len(tokenizer.encode(words).ids) > n_tokens:
            return head
        size *= 4
    return text


def estimated(n_tokens: int, head: str, text: str) -> int:
    """Tokens of a text whose head holds so many; exact where that is all of it."""
    return n_tokens if len(head) == len(text) else n_tokens * len(text) // len(head)
