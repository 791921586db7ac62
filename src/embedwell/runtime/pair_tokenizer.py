"""A query beside each of many passages, as a model that scores pairs reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedwell.core.errors import QueryError
from embedwell.models.tokenizer_file import open_tokenizer
from embedwell.runtime.printable import printable
from embedwell.runtime.tokenizer import estimated, head_of

# A passage of fewer tokens tells a model nothing: then the query is too long.
_LEAST_PASSAGE_TOKENS = 16
# The library keeps some hundred bytes of every token until the ids are taken out of it.
_PAIRS_AT_ONCE = 32


@dataclass(frozen=True)
class PairIds:
    """One pair after the cut.

    Attributes:
        ids: int32, shape (n, 2): the id of each token, and which text it is of.
        n_tokens: How many there were before the cut; estimated for a very long passage.
    """

    ids: npt.NDArray[np.int32]
    n_tokens: int


class PairTokenizer:
    """Tokenizes pairs for one model, with its own marks between and around them.

    Only the passage is cut.

    Args:
        file: `tokenizer.json` in the `tokenizers` library's form.
        max_tokens: Longest pair, special tokens included.

    Raises:
        WrongBytesError: The file cannot be read.
    """

    def __init__(self, file: Path, max_tokens: int) -> None:
        self._tokenizer = open_tokenizer(file)
        self._max_tokens = max_tokens
        self._n_special = self._tokenizer.num_special_tokens_to_add(is_pair=True)

    def encode(self, query: str, passages: Sequence[str]) -> list[PairIds]:
        """The query beside each passage.

        Raises:
            QueryError: The query leaves no room for a passage.
        """
        query = printable(query)
        read = head_of(self._tokenizer, query, self._max_tokens)
        asked = self._tokenizer.encode(read, add_special_tokens=False)
        room = self._max_tokens - self._n_special - len(asked.ids)
        if room < min(_LEAST_PASSAGE_TOKENS, self._max_tokens // 2):
            raise QueryError(
                f"The query has {estimated(len(asked.ids), read, query)} tokens and leaves no room "
                f"for a passage among the {self._max_tokens} that the model takes.",
                "Ask in fewer words.",
            )
        found: list[PairIds] = []
        for begin in range(0, len(passages), _PAIRS_AT_ONCE):
            texts = [printable(text) for text in passages[begin : begin + _PAIRS_AT_ONCE]]
            heads = [head_of(self._tokenizer, text, self._max_tokens) for text in texts]
            encoded = self._tokenizer.encode_batch_fast(heads, add_special_tokens=False)
            for passage, text, head in zip(encoded, texts, heads, strict=True):
                n_passage = estimated(len(passage.ids), head, text)
                passage.truncate(room)
                pair = self._tokenizer.post_process(asked, passage)
                ids = np.array([pair.ids, pair.type_ids], dtype=np.int32).T
                found.append(PairIds(ids, self._n_special + len(asked.ids) + n_passage))
        return found
