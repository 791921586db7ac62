"""What a route is: data, from which the application, OpenAPI and the docs are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from embedwell.server.shared.refusals import Dialect

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from embedwell.server.shared.service import Service

Handler: TypeAlias = "Callable[[Service, Request, Any], Awaitable[Response]]"
"""Called with the service, the request, and its decoded body (None where it takes none)."""


@dataclass(frozen=True)
class Endpoint:
    """One route of the service.

    Attributes:
        method: `GET`, `POST`, `PUT`, `HEAD` or `DELETE`.
        path: As Starlette writes it, such as `/v1/models/{model}`.
        summary: What it does, one sentence for the docs.
        handler: What answers.
        body: Struct of the JSON or msgpack body; None where there is none.
        answer: Struct of the JSON answer; None for other kinds of answer.
        dialect: Whose form errors take.
        media_type: Of the answer; several are separated by a comma and a space.
        query: Query parameters, with what they mean.
        statuses: Statuses of 400 or more that this route gives, with their reason; 400, 401, 403,
            413, 429, 500 and 503 need not be named.
        is_public: Whether it answers without the API key.
    """

    method: str
    path: str
    summary: str
    handler: Handler
    body: type | None = None
    answer: type | None = None
    dialect: Dialect = "native"
    media_type: str = "application/json"
    query: tuple[tuple[str, str], ...] = ()
    statuses: tuple[tuple[int, str], ...] = ()
    is_public: bool = False
