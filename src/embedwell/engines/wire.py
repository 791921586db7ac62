"""What embedwell's own route speaks: both ends of it import these."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

BINARY = "application/msgpack"
EMBED_PATH = "/v1/embed"
TOKEN_STARTS_PATH = "/v1/token-starts"  # noqa: S105 - a path
RERANK_PATH = "/v1/rerank"

MOST_TEXTS = 1 << 14
"""Texts of one request: their vectors and the answer are in memory at once."""

LONGEST_TEXT = 1 << 20
"""Characters of one text that are sent: no model takes as many tokens as these hold."""


class EmbedRequest(Struct, forbid_unknown_fields=True):
    """Texts to embed.

    Attributes:
        model: Its name, with `@q8` or the like where the quantization matters.
        texts: What to embed, up to 16,384.
        kind: `document` for what is searched, `query` for what it is searched with.
        space: Id of the space that the caller expects; another one is refused. Empty for any.
    """

    model: str
    texts: Annotated[list[str], Meta(max_length=MOST_TEXTS)]
    kind: Literal["document", "query"] = "document"
    space: str = ""


class BinaryEmbedded(Struct):
    """The answer in msgpack.

    Attributes:
        build: What computed the vectors: a `BuildRecord` in JSON.
        space: Id of their space.
        dimensions: Length of each.
        vectors: float32, little-endian, row after row; NaN in the rows that failed.
        n_tokens: int64, little-endian; tokens of each text before any cut.
        n_truncated: How many texts lost their end.
        failures: Why, by position, for texts that could not be embedded.
    """

    build: str
    space: str
    dimensions: int
    vectors: bytes
    n_tokens: bytes
    n_truncated: int
    failures: dict[int, str]


class TokenStartsRequest(Struct, forbid_unknown_fields=True):
    """A text of up to 1,048,576 characters whose tokens are asked for."""

    model: str
    text: Annotated[str, Meta(max_length=LONGEST_TEXT)]


class RerankDocument(Struct):
    """A text to rank, as several programs wrap it."""

    text: str


class RerankRequest(Struct):
    """Texts to rank by how well they answer a query.

    Attributes:
        query: The question.
        documents: The texts, bare or as `{"text": …}`.
        model: Name of a model that reranks; `ms-marco-MiniLM-L6-v2` where left out.
        top_n: How many of the best to give back; all where left out.
        return_documents: Whether each result has its text.
    """

    query: str
    documents: list[str | RerankDocument]
    model: str = ""
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool = False


class RerankResult(Struct):
    """A text that was ranked: its position among those sent, from 0, and its score, 0 to 1."""

    index: int
    relevance_score: float
    document: RerankDocument | UnsetType = UNSET


class RerankUsage(Struct):
    """Tokens that the model read, and how many texts lost their end."""

    total_tokens: int
    n_truncated: int = 0


class RerankAnswer(Struct):
    """The texts, best first."""

    model: str
    results: list[RerankResult]
    usage: RerankUsage
    object: Literal["list"] = "list"


class ErrorBody(Struct):
    """An error, as the class of the same name holds it."""

    type: str
    problem: str
    remedy: str
    retry_after_s: float = 0.0


class ErrorAnswer(Struct):
    """What every answer of the native routes with a status of 400 or more holds."""

    error: ErrorBody
