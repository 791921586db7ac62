"""The routes that programs written for OpenAI's API call: embeddings and models."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from embedwell.core.errors import BadRequestError
from embedwell.core.events import Watch
from embedwell.core.space import Kind
from embedwell.core.vectors import FloatArray
from embedwell.server.compatible.kept import kept_models
from embedwell.server.compatible.texts import Answered, Asked, check_dimensions, embed
from embedwell.server.shared.answers import json_answer, json_rows
from embedwell.server.shared.endpoint import Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.server.shared.service import Service

# OpenAI's own bound on the inputs of one request.
_MOST_TEXTS = 2048
_TRUNCATED = "X-Embedwell-Truncated"


class EmbeddingsRequest(Struct):
    """Texts to embed.

    Attributes:
        model: Name or alias of a model, with `@q8` or the like where the quantization matters.
        input: A text or a list of up to 2,048; lists of tokens are refused.
        encoding_format: `float` for lists of numbers; `base64` for little-endian float32.
        dimensions: Shorter vectors, where the model was trained for it.
        user: Accepted and ignored.
        kind: Our own: `query` for what is searched with, `document` for what is searched.
        input_type: Another name of `kind`, which several programs send.
        truncate: Our own: whether texts that are too long lose their end; else they are refused.
    """

    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: str | None = None
    kind: Kind | None = None
    input_type: Literal["document", "query", "passage"] | None = None
    truncate: bool = True


class Embedding(Struct):
    """One vector, with the position of its text; base64 of float32 where that was asked for."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class Usage(Struct):
    """Tokens that the model read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(Struct):
    """The vectors in the order of the texts."""

    data: list[Embedding]
    model: str
    usage: Usage
    object: Literal["list"] = "list"


class Model(Struct):
    """A model that can be named in requests; `created` is when its files were made here, or 0."""

    id: str
    created: int
    owned_by: str
    object: Literal["model"] = "model"


class Models(Struct):
    """All models that can be named in requests."""

    data: list[Model]
    object: Literal["list"] = "list"


async def embeddings(service: Service, request: Request, body: EmbeddingsRequest) -> Response:
    """Embed texts."""
    card = service.runtime.card(body.model)
    if body.dimensions is not None:
        check_dimensions(card, body.dimensions)
    asked = Asked(body.model, _texts(body.input), _kind(body), body.dimensions, body.truncate)

    def work(watch: Watch) -> tuple[bytes, int]:
        answered = embed(service, asked, watch)
        return _encoded(body, answered), answered.n_truncated

    found, n_truncated = await service.work(request, work)
    headers = {_TRUNCATED: str(n_truncated)} if n_truncated else None
    return Response(found, headers=headers, media_type="application/json")


async def models(service: Service, request: Request, body: None) -> Response:
    """Tell which models can be named."""
    del body
    made = await service.work(request, lambda _: _made(service))
    names = [*(card.name for card in service.runtime.known.all()), *sorted(made)]
    return json_answer(Models([_model(service, name, made) for name in names]))


async def model(service: Service, request: Request, body: None) -> Response:
    """Tell of one model, by any of its names."""
    del body
    name = request.path_params["model"]
    service.runtime.card(name)
    made = await service.work(request, lambda _: _made(service))
    return json_answer(_model(service, name, made))


def _texts(given: str | list[str | int | list[int]]) -> list[str]:
    """The texts of an `input`.

    Raises:
        BadRequestError: It is empty, too long, or has tokens in place of texts.
    """
    if isinstance(given, str):
        return [given]
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) < len(given):
        raise BadRequestError(
            "`input` has tokens; they are numbers of another model's vocabulary and mean nothing "
            "to this one.",
            "Send texts: in LangChain's OpenAIEmbeddings set `check_embedding_ctx_length=False`; "
            "elsewhere switch off counting or splitting by tiktoken.",
        )
    if not texts:
        raise BadRequestError("`input` is an empty list.", "Send at least one text.")
    if len(texts) > _MOST_TEXTS:
        raise BadRequestError(
            f"`input` has {len(texts):,} texts, and at most {_MOST_TEXTS:,} are taken at once.",
            "Send them in several requests.",
        )
    return texts


def _kind(body: EmbeddingsRequest) -> Kind:
    given: Kind = "query" if body.input_type == "query" else "document"
    if body.kind and body.input_type and body.kind != given:
        raise BadRequestError(
            f"`kind` is {body.kind} and `input_type` is {body.input_type}.", "Send one of them."
        )
    return body.kind or given


def _encoded(body: EmbeddingsRequest, answered: Answered) -> bytes:
    """The answer in JSON."""
    in_base64 = body.encoding_format == "base64"
    rows: list[Any] = _base64(answered.vectors) if in_base64 else json_rows(answered.vectors)
    answer = EmbeddingsAnswer(
        [Embedding(index, row) for index, row in enumerate(rows)],
        body.model,
        Usage(answered.n_tokens, answered.n_tokens),
    )
    return msgspec.json.encode(answer)


def _base64(vectors: FloatArray) -> list[str]:
    return [base64.b64encode(row.tobytes()).decode() for row in vectors.astype("<f4")]


def _made(service: Service) -> dict[str, int]:
    """When each artifact that is here was made, in seconds since 1970."""
    return {found.name: int(found.folder.stat().st_mtime) for _, found in kept_models(service)}


def _model(service: Service, name: str, made: dict[str, int]) -> Model:
    owner = service.runtime.card(name).hub_id.partition("/")[0]
    return Model(name, made.get(service.runtime.artifact_name(name), 0), owner)


_NO_MODEL = (404, "no such model")

ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/embeddings",
        "OpenAI: embed texts.",
        embeddings,
        body=EmbeddingsRequest,
        answer=EmbeddingsAnswer,
        dialect="openai",
        statuses=(_NO_MODEL,),
    ),
    Endpoint(
        "GET",
        "/v1/models",
        "OpenAI: the models that can be named.",
        models,
        answer=Models,
        dialect="openai",
    ),
    Endpoint(
        "GET",
        "/v1/models/{model:path}",
        "OpenAI: one model, by name, alias or with its quantization.",
        model,
        answer=Model,
        dialect="openai",
        statuses=(_NO_MODEL,),
    ),
)
