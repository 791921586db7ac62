"""The routes that programs written for Ollama call to embed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from embedwell import __version__
from embedwell.core.errors import UnknownModelError
from embedwell.core.events import Watch
from embedwell.core.space import Kind
from embedwell.engines.wire import MOST_TEXTS
from embedwell.models.catalogue import ModelCard
from embedwell.server.compatible.keep_alive import KeepAlive, keep, seconds
from embedwell.server.compatible.texts import Answered, Asked, check_dimensions, embed
from embedwell.server.shared.answers import json_answer, json_rows
from embedwell.server.shared.endpoint import Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.server.shared.service import Service


class EmbedRequest(Struct):
    """Texts to embed.

    Attributes:
        model: Name or alias of a model, with a tag such as `:q8` where the quantization matters.
        input: A text or a list of up to 16,384; without one the model is only loaded.
        truncate: Whether texts that are too long lose their end; else they are refused.
        dimensions: Shorter vectors, where the model was trained for it.
        keep_alive: How long the model stays loaded when unused: seconds, a duration such as
            `5m`, 0 to unload it after the answer, below 0 for ever.
        options: Accepted and ignored.
        kind: Our own: `query` for what is searched with, `document` for what is searched.
    """

    model: str
    input: str | Annotated[list[str], Meta(max_length=MOST_TEXTS)] | None = None
    truncate: bool | None = None
    dimensions: Annotated[int, Meta(ge=0)] | None = None
    keep_alive: KeepAlive = None
    options: dict[str, Any] | None = None
    kind: Kind = "document"


class EmbedAnswer(Struct):
    """The vectors in the order of the texts; durations in nanoseconds."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int


class EmbeddingsRequest(Struct):
    """One text to embed; the other fields are as for `/api/embed`."""

    model: str
    prompt: str | None = None
    keep_alive: KeepAlive = None
    options: dict[str, Any] | None = None
    kind: Kind = "document"


class EmbeddingsAnswer(Struct):
    """The vector of the text; empty where there was none."""

    embedding: list[float]


class Version(Struct):
    """Of embedwell."""

    version: str


@dataclass(frozen=True)
class _Timed:
    answered: Answered
    total_ns: int
    load_ns: int


async def embed_texts(service: Service, request: Request, body: EmbedRequest) -> Response:
    """Embed any number of texts."""
    card = card_of(service, body.model)
    texts = [body.input] if isinstance(body.input, str) else body.input or []
    asked = Asked(
        body.model,
        [] if texts == [""] and isinstance(body.input, str) else texts,  # as Ollama takes it
        body.kind,
        _dimensions(card, body.dimensions),
        truncate=body.truncate is not False,
    )
    _check(body.keep_alive)

    def work(watch: Watch) -> bytes:
        found = _timed(service, asked, body.keep_alive, watch)
        rows: list[Any] = json_rows(found.answered.vectors)
        answer = EmbedAnswer(
            body.model,
            rows,
            found.total_ns,
            found.load_ns,
            found.answered.n_tokens,
        )
        return msgspec.json.encode(answer)

    return Response(await service.work(request, work), media_type="application/json")


async def embed_prompt(service: Service, request: Request, body: EmbeddingsRequest) -> Response:
    """Embed one text, as older programs ask for it."""
    card_of(service, body.model)
    asked = Asked(body.model, [body.prompt] if body.prompt else [], body.kind)
    _check(body.keep_alive)

    def work(watch: Watch) -> bytes:
        rows = _timed(service, asked, body.keep_alive, watch).answered.vectors.tolist()
        return msgspec.json.encode(EmbeddingsAnswer(rows[0] if rows else []))

    return Response(await service.work(request, work), media_type="application/json")


async def version(service: Service, request: Request, body: None) -> Response:
    """Tell embedwell's version."""
    del service, request, body
    return json_answer(Version(__version__))


def card_of(service: Service, name: str) -> ModelCard:
    """The catalogue's row of a model.

    Raises:
        UnknownModelError: There is none; in words that Ollama's clients look for.
    """
    try:
        return service.runtime.card(name)
    except UnknownModelError as error:
        raise UnknownModelError(
            f"model '{name}' not found: {error.problem}", error.remedy
        ) from None


def _timed(service: Service, asked: Asked, keep_alive: KeepAlive, watch: Watch) -> _Timed:
    """Load, embed, and heed the wish how long to stay, also where embedding failed."""
    begun = time.perf_counter_ns()
    service.runtime.embed(asked.model, [], asked.kind, watch)  # loads it
    loaded = time.perf_counter_ns()
    try:
        answered = embed(service, asked, watch)
    finally:
        keep(service, asked.model, keep_alive)
    return _Timed(answered, time.perf_counter_ns() - begun, loaded - begun)


def _dimensions(card: ModelCard, wanted: int | None) -> int | None:
    """Ollama takes 0 and what is no shorter than the vectors for their own length."""
    if not wanted or wanted >= card.dimensions:
        return None
    check_dimensions(card, wanted)
    return wanted


def _check(keep_alive: KeepAlive) -> None:
    """Refuse what is no duration before anything is embedded."""
    if keep_alive is not None:
        seconds(keep_alive)


_NO_MODEL = (404, "no such model")

ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/embed",
        "Ollama: embed texts.",
        embed_texts,
        body=EmbedRequest,
        answer=EmbedAnswer,
        dialect="ollama",
        statuses=(_NO_MODEL,),
    ),
    Endpoint(
        "POST",
        "/api/embeddings",
        "Ollama: embed one text, the older form.",
        embed_prompt,
        body=EmbeddingsRequest,
        answer=EmbeddingsAnswer,
        dialect="ollama",
        statuses=(_NO_MODEL,),
    ),
    Endpoint(
        "GET",
        "/api/version",
        "Ollama: the version, which is embedwell's own.",
        version,
        answer=Version,
        dialect="ollama",
    ),
)
