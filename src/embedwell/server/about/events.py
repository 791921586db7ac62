"""What happens to the models, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from embedwell.core.events import EVENTS, Event
from embedwell.server.shared.endpoint import Endpoint
from embedwell.server.shared.hub import Hub, Queue

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from embedwell.server.shared.service import Service

EVENTS_PATH = "/v1/events"

# Shorter than the minute after which most proxies cut a silent connection.
KEEP_ALIVE_S = 15.0

STREAMED = EVENTS | {
    "lost": "This listener was too slow and its oldest events were dropped: `n_lost` since the "
    "last word of it.",
}
"""What `/v1/events` sends: what a runtime tells, and what only a stream needs."""


class EventStream(Response):
    """Server-sent events until the listener leaves or the service stops.

    Args:
        hub: Where they come from.
        is_over: Asked every second whether the service stops.
        keep_alive_s: Seconds of silence after which a comment is sent.
    """

    media_type = "text/event-stream"

    def __init__(
        self, hub: Hub, is_over: Callable[[], bool], keep_alive_s: float = KEEP_ALIVE_S
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._hub = hub
        self._is_over = is_over
        self._keep_alive_s = keep_alive_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; returns when the listener has left."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        if scope["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        with self._hub.listening() as queue:
            await send(start)
            gone = asyncio.ensure_future(_left(receive))
            try:
                await self._stream(queue, gone, send)
            finally:
                gone.cancel()

    async def _stream(self, queue: Queue, gone: asyncio.Future[None], send: Send) -> None:
        await _write(send, b": listening\nretry: 2000\n\n")
        silent_s = 0.0
        while not (gone.done() or self._is_over()):
            waiting = asyncio.ensure_future(queue.wait())
            # Looks up every second, so that a stopping service is not held up by who listens.
            wait_s = min(1.0, self._keep_alive_s)
            await asyncio.wait((waiting, gone), timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            lost, events = queue.take()
            silent_s = 0.0 if events else silent_s + wait_s
            if silent_s >= self._keep_alive_s:
                silent_s = 0.0
                await _write(send, b": still here\n\n")
            elif events:
                await _write(send, written(lost, events))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def written(n_lost: int, events: list[Event]) -> bytes:
    """Events in the form of the HTML standard's server-sent events."""
    parts = [_one("lost", {"n_lost": n_lost})] if n_lost else []
    for event in events:
        told = {"kind": event.kind, "artifact": event.artifact, "at": event.at}
        parts.append(_one(event.kind, told | dict(event.detail)))
    return b"".join(parts)


def _one(kind: str, told: dict[str, object]) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(told) + b"\n\n"


async def _write(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def events(service: Service, request: Request, body: None) -> Response:
    """Tell what happens to the models from now on."""
    del request, body
    hub = service.monitor.hub
    if hub.is_full:
        raise hub.refusal()
    return EventStream(hub, lambda: service.is_draining)


ENDPOINTS = (
    Endpoint(
        "GET",
        EVENTS_PATH,
        "What happens to the models, as server-sent events, from now on; wakes nothing.",
        events,
        media_type="text/event-stream",
        statuses=((429, "too many listeners"),),
    ),
)


def table() -> str:
    """Every event, as Markdown."""
    rows = ["| event | what happened, and what is told |", "| --- | --- |"]
    return "\n".join([*rows, *(f"| `{kind}` | {meaning} |" for kind, meaning in STREAMED.items())])
