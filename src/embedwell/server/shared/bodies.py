"""Bodies of requests: read up to a limit, decoded into structs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from starlette.requests import ClientDisconnect, Request

from embedwell.core.errors import (
    BadRequestError,
    RequestTooLargeError,
    ServiceBusyError,
    ServiceSlowError,
    TaskCancelledError,
)
from embedwell.engines.wire import BINARY

# A client that sends too much hears why only after it has sent it; this much is thrown away.
_PATIENCE = 8
# Largest bodies that are held at once: a queue bounded by number alone could fill the memory.
_N_LARGEST = 8


class Bodies:
    """Reads bodies, each up to a limit and all of them together up to another.

    Args:
        limit_bytes: Largest body.
        timeout_s: Longest time until all of a body is there.

    Attributes:
        n_bytes: Of all bodies whose requests have not been answered.
    """

    def __init__(self, limit_bytes: int, timeout_s: float) -> None:
        self.limit_bytes = limit_bytes
        self._timeout_s = timeout_s
        self.n_bytes = 0

    @asynccontextmanager
    async def of(self, request: Request, kind: type | None) -> AsyncIterator[object]:
        """The body of a request as a struct, counted until the request is answered.

        Raises:
            RequestTooLargeError: It is larger than the limit.
            ServiceBusyError: All bodies together would be too much.
            BadRequestError: It is not as expected.
            ServiceSlowError: It did not come in time.
            TaskCancelledError: The client left before all of it was there.
        """
        if kind is None:
            yield None
            return
        parts: list[bytes] = []
        try:
            await self._read_in_time(request, parts)
            yield _decoded(request, b"".join(parts), kind)
        finally:
            self.n_bytes -= sum(map(len, parts))

    async def _read_in_time(self, request: Request, parts: list[bytes]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._read(request, parts)
        except ClientDisconnect as error:
            raise TaskCancelledError("request") from error
        except TimeoutError as error:
            raise ServiceSlowError(
                f"The body was not there after {self._timeout_s:g} s (`request_timeout_s`).",
                "Send it faster, or less at once.",
            ) from error

    async def _read(self, request: Request, parts: list[bytes]) -> None:
        """All of it, however it is sent, unless it is too large."""
        announced = request.headers.get("content-length", "0")
        size = int(announced) if announced.isdecimal() else 0
        waits_for_us = bool(request.headers.get("expect"))
        if size > self.limit_bytes * (1 if waits_for_us else _PATIENCE):
            raise self._too_large()
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > self.limit_bytes * _PATIENCE:
                break
            if size <= self.limit_bytes:
                self._check_room(len(part))
                parts.append(part)
                self.n_bytes += len(part)
        if size > self.limit_bytes:
            raise self._too_large()

    def _check_room(self, n_bytes: int) -> None:
        if self.n_bytes + n_bytes > self.limit_bytes * _N_LARGEST:
            raise ServiceBusyError(
                f"Requests of {self.n_bytes:,} bytes are waiting already.",
                "Ask again in a second.",
            )

    def _too_large(self) -> RequestTooLargeError:
        return RequestTooLargeError(
            f"The body is larger than the {self.limit_bytes:,} bytes that the service takes.",
            "Send fewer or shorter texts at once, or raise `max_request`.",
        )


def _decoded(request: Request, raw: bytes, kind: type) -> object:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    decoder = msgspec.msgpack if media_type == BINARY else msgspec.json
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
