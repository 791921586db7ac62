"""Bodies of requests: read up to a limit, decoded into structs."""

from __future__ import annotations

import msgspec
from starlette.requests import Request

from embedwell.core.errors import BadRequestError, RequestTooLargeError
from embedwell.engines.wire import BINARY

# A client that sends too much hears why only after it has sent it; this much is thrown away.
_PATIENCE = 8


async def body_of(request: Request, kind: type | None, limit_bytes: int) -> object:
    """The body of a request as a struct; None where none is expected.

    Raises:
        RequestTooLargeError: It is larger than the limit.
        BadRequestError: It is not as expected.
    """
    if kind is None:
        return None
    raw = await _read(request, limit_bytes)
    decoder = msgspec.msgpack if _media_type(request) == BINARY else msgspec.json
    try:
        return decoder.decode(raw or b"{}", type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        reason = str(error)
    except RecursionError:
        reason = "it is nested too deeply"
    raise BadRequestError(
        f"The body of {request.url.path} is not as expected: {reason}.",
        "See /docs for what it takes.",
    )


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read(request: Request, limit_bytes: int) -> bytes:
    """All of it, however it is sent, unless it is too large."""
    announced = request.headers.get("content-length", "0")
    size = int(announced) if announced.isdecimal() else 0
    if size > limit_bytes and request.headers.get("expect"):
        raise _too_large(limit_bytes)  # it waits for our word before it sends the body
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= limit_bytes:
            parts.append(part)
        elif size > limit_bytes * _PATIENCE:
            break
    if size > limit_bytes:
        raise _too_large(limit_bytes)
    return b"".join(parts)


def _too_large(limit_bytes: int) -> RequestTooLargeError:
    return RequestTooLargeError(
        f"The body is larger than the {limit_bytes:,} bytes that the service takes.",
        "Send fewer or shorter texts at once, or raise `max_request`.",
    )
