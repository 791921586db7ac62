"""Scores of texts for a query, and what gives them, wherever its model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray


@dataclass(frozen=True)
class Relevance:
    """How well each of some texts answers a query.

    Attributes:
        scores: float32, shape (n,), 0 to 1: the logistic function (sigmoid) of what the network
            gives. They order texts; that one is 0.5 does not make it right in half of all cases.
        n_tokens: Tokens that the model read, the query's and special ones counted for each text.
        n_truncated: How many texts lost their end.
    """

    scores: FloatArray
    n_tokens: int
    n_truncated: int


class TextReranker(Protocol):
    """Whatever scores texts for a query, wherever its model runs. Safe to call from all threads."""

    def score(self, query: str, texts: Sequence[str], watch: Watch) -> Relevance:
        """Score texts of any number and length.

        Raises:
            QueryError: The query leaves no room for a text.
            EngineError: Some texts could not be scored.
            TaskCancelledError: `watch` was asked to stop.
        """
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...
