"""Hands events to whoever listens, each from a queue of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from embedwell.core.errors import ServiceBusyError
from embedwell.core.events import Event

# A dashboard or two, a few programs: each costs its queue, a task and a connection.
_MOST_LISTENERS = 32
_MOST_QUEUED = 256


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
