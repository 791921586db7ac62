"""What all routes share: the runtime, the settings, and the threads that do the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from embedwell.app.runtime import Runtime
from embedwell.app.settings import Settings
from embedwell.core.errors import ServiceBusyError, TaskCancelledError
from embedwell.core.events import Event, Listener, Watch

if TYPE_CHECKING:
    from starlette.requests import Request

# Requests that run at once: their texts share batches, so more threads would only cost memory.
_N_THREADS = 16

Found = TypeVar("Found")


class Service:
    """One runtime, and a bounded queue of requests in front of it.

    Args:
        settings: What the user chose.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.listeners: list[Listener] = []
        self.runtime = Runtime(settings, self._tell)
        self.n_waiting = 0
        self._threads = ThreadPoolExecutor(_N_THREADS, thread_name_prefix="embedwell")

    async def work(self, request: Request, do: Callable[[Watch], Found]) -> Found:
        """Run a synchronous function in a thread, and stop it when the client leaves.

        Args:
            request: Whose work it is; its body has been read.
            do: Given a watch that is cancelled when the client leaves or time is up.

        Raises:
            ServiceBusyError: Too many requests are waiting, or this one took too long.
            EmbedwellError: What `do` raised.
        """
        if self.n_waiting >= self.settings.max_waiting:
            raise ServiceBusyError(
                f"{self.n_waiting} requests are waiting already.", "Ask again in a second."
            )
        watch = Watch()
        self.n_waiting += 1
        work = asyncio.get_running_loop().run_in_executor(self._threads, do, watch)
        gone = asyncio.ensure_future(_left(request))
        try:
            await asyncio.wait(
                (work, gone),
                timeout=self.settings.request_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            watch.cancelled.set()
            return await work
        except TaskCancelledError as error:
            raise ServiceBusyError(
                f"The request took longer than {self.settings.request_timeout_s:g} s.",
                "Send fewer texts at once.",
            ) from error
        finally:
            gone.cancel()
            self.n_waiting -= 1

    def close(self) -> None:
        """Unload everything."""
        self._threads.shutdown()
        self.runtime.close()

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
