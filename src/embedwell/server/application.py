"""The ASGI application: every endpoint, its body decoded, its errors in the form it speaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from embedwell.core.errors import (
    BadRequestError,
    EmbedwellError,
    PressureError,
    ServiceBusyError,
    SpaceMismatchError,
    StoreNotFoundError,
    UnknownModelError,
)
from embedwell.engines.wire import BINARY, ErrorAnswer, ErrorBody
from embedwell.server import native
from embedwell.server.endpoint import Endpoint
from embedwell.server.service import Service

ENDPOINTS: tuple[Endpoint, ...] = (*native.ENDPOINTS,)

# The first class that fits gives the status of an error; 500 where none does.
STATUSES: tuple[tuple[type[EmbedwellError], int], ...] = (
    (BadRequestError, 400),
    (UnknownModelError, 404),
    (StoreNotFoundError, 404),
    (SpaceMismatchError, 409),
    (ServiceBusyError, 429),
    (PressureError, 503),
)


def application(service: Service, endpoints: Sequence[Endpoint] = ENDPOINTS) -> Starlette:
    """The application that serves a runtime."""
    return Starlette(
        routes=[
            Route(e.path, _answering(service, e), methods=[e.method], name=e.summary)
            for e in endpoints
        ]
    )


def _answering(service: Service, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            body = await _body(request, endpoint.body)
            return await endpoint.handler(service, request, body)
        except EmbedwellError as error:
            return refusal(error, request)

    return answer


async def _body(request: Request, kind: type | None) -> object:
    if kind is None:
        return None
    raw = await request.body()
    decoder = msgspec.msgpack if request.headers.get("content-type") == BINARY else msgspec.json
    try:
        return decoder.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise BadRequestError(
            f"The body of {request.url.path} is not as expected: {error}.",
            "See /docs for what it takes.",
        ) from error


def refusal(error: EmbedwellError, request: Request) -> Response:
    """An error in the native form."""
    status = next((code for kind, code in STATUSES if isinstance(error, kind)), 500)
    retry_after_s = getattr(error, "retry_after_s", 0.0)
    answer = ErrorAnswer(
        ErrorBody(type(error).__name__, error.problem, error.remedy, retry_after_s)
    )
    headers = {"Retry-After": str(max(1, round(retry_after_s)))} if retry_after_s else {}
    binary = request.headers.get("accept", "") == BINARY
    encode, media = (
        (msgspec.msgpack.encode, BINARY) if binary else (msgspec.json.encode, "application/json")
    )
    return Response(encode(answer), status, headers, media)
