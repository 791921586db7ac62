"""embedwell's own routes: embedding by kind."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from starlette.responses import Response

from embedwell.core.build import BuildRecord
from embedwell.core.embedded import Embedded
from embedwell.core.errors import BadTextsError, SpaceMismatchError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.engines.wire import (
    BINARY,
    EMBED_PATH,
    TOKEN_STARTS_PATH,
    BinaryEmbedded,
    EmbedRequest,
    TokenStartsRequest,
)
from embedwell.server.shared.answers import json_rows
from embedwell.server.shared.endpoint import Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.server.shared.service import Service


class EmbedAnswer(Struct):
    """The vectors of texts, and what computed them."""

    artifact: str
    build: BuildRecord
    space: str
    dimensions: int
    vectors: list[list[float] | None]
    n_tokens: list[int]
    n_truncated: int
    failures: dict[int, str]


async def embed(service: Service, request: Request, body: EmbedRequest) -> Response:
    """Embed texts; in msgpack where that was sent."""
    space = service.runtime.card(body.model).space
    if body.space not in {"", space.id}:
        raise SpaceMismatchError(
            f"'{body.model}' is space {space.id[:12]} here, and {body.space[:12]} was expected.",
            "Run the same version of embedwell in both places.",
        )
    wants_binary = request.headers.get("accept", "") == BINARY
    encode = _binary if wants_binary else _readable

    def work(watch: Watch) -> bytes:  # encoding too: thousands of vectors would hold others up
        return encode(space, *_embed(service, body, watch))

    found = await service.work(request, work)
    return Response(found, media_type=BINARY if wants_binary else "application/json")


def _binary(space: Space, embedded: Embedded, failures: dict[int, str]) -> bytes:
    answer = BinaryEmbedded(
        _json(embedded.build),
        space.id,
        space.dimensions,
        embedded.vectors.astype("<f4").tobytes(),
        embedded.n_tokens.astype("<i8").tobytes(),
        embedded.n_truncated,
        failures,
    )
    return msgspec.msgpack.encode(answer)


def _readable(space: Space, embedded: Embedded, failures: dict[int, str]) -> bytes:
    rows: list[Any] = json_rows(embedded.vectors)
    answer = EmbedAnswer(
        embedded.artifact,
        embedded.build,
        space.id,
        space.dimensions,
        [None if position in failures else row for position, row in enumerate(rows)],
        embedded.n_tokens.tolist(),
        embedded.n_truncated,
        failures,
    )
    return msgspec.json.encode(answer)


def _embed(service: Service, body: EmbedRequest, watch: Watch) -> tuple[Embedded, dict[int, str]]:
    """What could be embedded, and why the rest could not."""
    failures: dict[int, str] = {}
    try:
        embedded = service.runtime.embed(body.model, body.texts, body.kind, watch)
    except BadTextsError as error:
        embedded, failures = error.embedded, error.failures
    service.monitor.embedded(embedded)
    return embedded, failures


@lru_cache(maxsize=64)
def _json(build: BuildRecord) -> str:
    return build.to_json()


async def token_starts(service: Service, request: Request, body: TokenStartsRequest) -> Response:
    """Where the tokens of a text begin: int64, little-endian."""
    starts = await service.work(
        request, lambda _: service.runtime.token_starts(body.model, body.text)
    )
    return Response(starts.astype("<i8").tobytes(), media_type="application/octet-stream")


ENDPOINTS = (
    Endpoint(
        "POST",
        EMBED_PATH,
        "Embed texts; answers in msgpack with raw float32 where `Accept` asks for it.",
        embed,
        body=EmbedRequest,
        answer=EmbedAnswer,
        statuses=((404, "no such model"), (409, "the vectors would be of another space")),
    ),
    Endpoint(
        "POST",
        TOKEN_STARTS_PATH,
        "Where each token of a text begins, as little-endian int64 code point offsets.",
        token_starts,
        body=TokenStartsRequest,
        statuses=((404, "no such model"),),
        media_type="application/octet-stream",
    ),
)
