"""What a model is for: vectors, or scores of pairs of texts."""

from __future__ import annotations

from embedwell.core.artifact import Head
from embedwell.core.errors import WrongTaskError
from embedwell.models.catalogue import ModelCard

RERANKER = "ms-marco-MiniLM-L6-v2"
"""What reranks where no model is named: small, and for English."""


def check_head(card: ModelCard, wanted: Head) -> None:
    """Refuse a model that is for something else.

    Raises:
        WrongTaskError: It is; the message names it.
    """
    if card.head != wanted:
        raise WrongTaskError(card.name, card.head)
