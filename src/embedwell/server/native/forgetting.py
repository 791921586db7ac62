"""Forget kept vectors: all of them, or those of one text, one space or one beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.responses import Response

from embedwell.core.errors import BadRequestError
from embedwell.server.shared.answers import json_answer
from embedwell.server.shared.endpoint import Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.server.shared.service import Service

CACHE_PATH = "/v1/runtime/cache"

_QUERY = (
    ("text", "Only the vectors of this text."),
    ("space", "Only vectors of the space with this id."),
    ("prefix", "Only vectors of texts that begin with this."),
)


class Forgotten(Struct):
    """How many vectors were forgotten."""

    forgotten: int


async def forget(service: Service, request: Request, body: None) -> Response:
    """Forget what fits all that the query names; everything where it names nothing."""
    del body
    named = dict(request.query_params)
    unknown = named.keys() - {name for name, _ in _QUERY}
    if unknown:  # a misspelt name would forget everything
        raise BadRequestError(
            f"{CACHE_PATH} has no parameter {', '.join(sorted(unknown))}.",
            f"It has {', '.join(name for name, _ in _QUERY)}.",
        )
    return json_answer(Forgotten(service.runtime.cache.invalidate(**named)))


ENDPOINTS = (
    Endpoint(
        "DELETE",
        CACHE_PATH,
        "Forget the kept vectors that fit every parameter given; all of them without any.",
        forget,
        answer=Forgotten,
        query=_QUERY,
    ),
)
