"""Errors as the service tells them: a status, and a body in the dialect of the route."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from starlette.responses import Response

from embedwell.core.errors import (
    AccessDeniedError,
    BadRequestError,
    EmbeddingsOffError,
    EmbedwellError,
    MigrationError,
    NoSuchRouteError,
    OverBudgetError,
    PressureError,
    QueryError,
    RequestTooLargeError,
    ServiceBusyError,
    ServiceSlowError,
    ServiceStoppingError,
    SettingsError,
    SpaceMismatchError,
    StoreBusyError,
    StoreGoneError,
    StoreNotFoundError,
    TaskCancelledError,
    UnknownModelError,
    WrongTaskError,
)
from embedwell.engines.wire import BINARY, ErrorAnswer, ErrorBody

Dialect = Literal["native", "openai", "ollama"]
"""Whose form errors take."""

# The first class that fits gives the status of an error; 500 where none does.
STATUSES: tuple[tuple[type[EmbedwellError], int], ...] = (
    (RequestTooLargeError, 413),
    (NoSuchRouteError, 404),
    (BadRequestError, 400),
    (QueryError, 400),
    (AccessDeniedError, 403),
    (UnknownModelError, 404),
    (WrongTaskError, 400),
    (StoreNotFoundError, 404),
    (SpaceMismatchError, 409),
    (StoreBusyError, 409),
    (MigrationError, 409),
    (SettingsError, 409),
    (TaskCancelledError, 499),
    (ServiceStoppingError, 503),
    (ServiceBusyError, 429),
    (EmbeddingsOffError, 503),
    (OverBudgetError, 503),
    (PressureError, 503),
    (StoreGoneError, 503),
    (ServiceSlowError, 504),
)

# Memory that others hold may be given back in a while, and a database may return.
_RETRY_S: tuple[tuple[type[EmbedwellError], float], ...] = (
    (StoreGoneError, 5.0),
    (PressureError, 5.0),
    (OverBudgetError, 30.0),
)

# Paths of other dialects: errors that no endpoint has raised take their form there.
_DIALECTS: tuple[tuple[str, Dialect], ...] = (
    ("/api/", "ollama"),
    ("/v1/embeddings", "openai"),
    ("/v1/models", "openai"),
    ("/v1/chat/", "openai"),  # and what we do not have, for which its clients show what they know
    ("/v1/completions", "openai"),
    ("/v1/responses", "openai"),
)


def dialect_of(path: str) -> Dialect:
    """Whose form an error takes that was met before, or without, an endpoint."""
    return next((dialect for start, dialect in _DIALECTS if path.startswith(start)), "native")


def status_of(error: EmbedwellError) -> int:
    """The HTTP status of an error."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def _native(error: EmbedwellError, status: int) -> object:
    del status
    return ErrorAnswer(
        ErrorBody(type(error).__name__, error.problem, error.remedy, _retry_after_s(error))
    )


def _openai(error: EmbedwellError, status: int) -> object:
    codes = {401: "invalid_api_key", 404: "model_not_found", 413: "request_too_large"}
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": str(error),
            "type": "rate_limit_exceeded" if status == 429 else kind,
            "param": "model" if isinstance(error, UnknownModelError) else None,
            "code": codes.get(status),
        }
    }


def _ollama(error: EmbedwellError, status: int) -> object:
    del status
    return {"error": str(error)}


ENVELOPES: Mapping[Dialect, Callable[[EmbedwellError, int], object]] = {
    "native": _native,
    "openai": _openai,
    "ollama": _ollama,
}
"""The body of an error, given the error and its status, by dialect."""


def refusal(
    error: EmbedwellError,
    dialect: Dialect = "native",
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    binary: bool = False,
) -> Response:
    """The answer that an error gives.

    Args:
        error: What was wrong.
        dialect: Whose form the body takes.
        status: Where another one than the error's class gives is meant.
        headers: Sent with it.
        binary: Whether the body is msgpack.
    """
    code = status or status_of(error)
    body = ENVELOPES[dialect](error, code)
    sent = dict(headers or {})
    if retry_after_s := _retry_after_s(error):
        sent["Retry-After"] = str(max(1, round(retry_after_s)))
    if binary:
        return Response(msgspec.msgpack.encode(body), code, sent, BINARY)
    return Response(msgspec.json.encode(body), code, sent, "application/json")


def _retry_after_s(error: EmbedwellError) -> float:
    default = next((wait for kind, wait in _RETRY_S if isinstance(error, kind)), 0.0)
    return float(getattr(error, "retry_after_s", default))
