"""What happens to the models, as server-sent events."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from embedwell.core.errors import ServiceBusyError
from embedwell.core.events import EVENTS, Event
from embedwell.server.endpoint import Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from embedwell.server.service import Service

EVENTS_PATH = "/v1/events"

# A dashboard or two, a few programs: each costs its queue, a task and a connection.
_MOST_LISTENERS = 32
_MOST_QUEUED = 256
# Shorter than the minute after which most proxies cut a silent connection.
KEEP_ALIVE_S = 15.0

STREAMED = EVENTS | {
    "lost": "This listener was too slow and its oldest events were dropped: `n_lost` since the "
    "last word of it.",
}
"""What `/v1/events` sends: what a runtime tells, and what only a stream needs."""


class Queue:
    """What one listener has still to be told.

    Filled from any thread; emptied on the event loop that it was made on. A step of a task
    replaces the step before it when that has not been sent yet: whoever is slow misses steps and
    no events.

    Args:
        loop: Where the listener waits.
        most: Events that are kept; the oldest is dropped for one more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int = _MOST_QUEUED) -> None:
        self.n_lost = 0
        self._loop = loop
        self._most = most
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()
        self._woken = asyncio.Event()

    def put(self, event: Event) -> None:
        """Add an event; from any thread."""
        with self._lock:
            if self._events and _continues(event, self._events[-1]):
                self._events.pop()
            elif len(self._events) == self._most:
                self._events.popleft()
                self.n_lost += 1
            self._events.append(event)
        with suppress(RuntimeError):  # the loop has ended before the work has
            self._loop.call_soon_threadsafe(self._woken.set)

    def take(self) -> tuple[int, list[Event]]:
        """How many events were lost, and those that were not, oldest first; both then forgotten."""
        with self._lock:
            self._woken.clear()
            lost, events = self.n_lost, list(self._events)
            self.n_lost = 0
            self._events.clear()
        return lost, events

    async def wait(self) -> None:
        """Until there may be something to take."""
        await self._woken.wait()


def _continues(event: Event, last: Event) -> bool:
    """Whether an event is the next step of the same stage of the same task."""
    return (
        event.kind == last.kind == "loading"
        and event.artifact == last.artifact
        and event.detail.get("stage") == last.detail.get("stage")
    )


class Hub:
    """Hands each event to every listener, from whichever thread it comes.

    Args:
        most_listeners: One more than these is refused.
    """

    def __init__(self, most_listeners: int = _MOST_LISTENERS) -> None:
        self._most = most_listeners
        self._lock = threading.Lock()
        self._queues: tuple[Queue, ...] = ()

    @property
    def n_listeners(self) -> int:
        """Who listens now."""
        return len(self._queues)

    def publish(self, event: Event) -> None:
        """Tell all listeners; from any thread, and at once."""
        for queue in self._queues:
            queue.put(event)

    @property
    def is_full(self) -> bool:
        """Whether one more listener is refused."""
        return len(self._queues) >= self._most

    def refusal(self) -> ServiceBusyError:
        """What one listener too many is told."""
        return ServiceBusyError(
            f"{self._most} programs listen to events already.",
            "Close a dashboard, or ask again later.",
            retry_after_s=10.0,
        )

    @contextmanager
    def listening(self) -> Iterator[Queue]:
        """A queue that is filled until the `with` block ends; enter it on the event loop.

        Raises:
            ServiceBusyError: There are too many listeners.
        """
        queue = Queue(asyncio.get_running_loop())
        with self._lock:
            if self.is_full:
                raise self.refusal()
            self._queues = (*self._queues, queue)
        try:
            yield queue
        finally:
            with self._lock:
                self._queues = tuple(other for other in self._queues if other is not queue)


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
