"""A space: the declaration that two vectors must share to be compared."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Pooling = Literal["mean", "cls", "last", "unknown"]
"""How token vectors become one; `unknown` is that of a server that does not tell."""
Kind = Literal["document", "query"]


@dataclass(frozen=True)
class Space:
    """What defines a vector, whoever computes it.

    Attributes:
        model: Catalogue name, such as `all-MiniLM-L6-v2`.
        revision: Upstream revision of the weights.
        pooling: How token vectors become one.
        normalized: Whether vectors have length 1.
        query_prompt: Text put before every query.
        document_prompt: Text put before every document.
        max_tokens: Longest input, special tokens included; the rest is cut.
        dimensions: Length of a vector.
    """

    model: str
    revision: str
    pooling: Pooling
    normalized: bool
    query_prompt: str
    document_prompt: str
    max_tokens: int
    dimensions: int

    @property
    def id(self) -> str:
        """SHA-256 (64 hex digits) of the canonical JSON form."""
        import hashlib  # noqa: PLC0415 - 3.6 MB; whoever passes requests on needs none

        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """The canonical form: sorted keys, no spaces, ASCII."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Space:
        """The inverse of `to_json`."""
        fields: dict[str, Any] = json.loads(text)
        return cls(**fields)

    def prompt(self, kind: Kind) -> str:
        """The text put before an input of this kind."""
        return self.query_prompt if kind == "query" else self.document_prompt


def check_kind(kind: str) -> None:
    """Refuse what is no kind of text, such as `code`: it would get the prompt of documents.

    Raises:
        ValueError: It is neither `document` nor `query`.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"There is no kind {kind!r} of text; use 'document' or 'query'.")
