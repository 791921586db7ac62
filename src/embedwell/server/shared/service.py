"""What all routes share: the runtime, the settings, and the threads that do the work."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from embedwell.app.config.settings import Settings
from embedwell.app.embedding.runtime import Runtime
from embedwell.app.indexes.ingestions import Ingestions
from embedwell.app.indexes.serving import OpenIndexes, index_file
from embedwell.app.models.pull import ChildPuller
from embedwell.core.errors import (
    ServiceBusyError,
    ServiceSlowError,
    ServiceStoppingError,
    TaskCancelledError,
)
from embedwell.core.events import Event, Progress, Watch
from embedwell.server.shared.monitor import Monitor
from embedwell.server.shared.security import is_unix

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.app.indexes.index import Index

# Requests that run at once: their texts share batches, so more threads would only cost memory.
_N_THREADS = 16
# Short requests have threads of their own: behind thirty clients with bulk a query would wait for
# seconds before the runtime could put it first.
_N_SHORT_THREADS = 16
_SHORT_BYTES = 8192

Found = TypeVar("Found")


@dataclass(eq=False)
class _Turn:
    """Who is next at an index; kept while anybody asks for it.

    Attributes:
        n_asking: Requests that have its turn or wait for it.
    """

    n_asking: int = 0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _queue: set[asyncio.Future[Any]] = field(default_factory=set)

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for the turn, and hold it for the `async with` block.

        Raises:
            TaskCancelledError: Whoever waited gave up.
        """
        work = asyncio.current_task()
        assert work is not None  # noqa: S101 - a coroutine runs in a task
        self._queue.add(work)
        try:
            await self._lock.acquire()
        except asyncio.CancelledError as error:
            raise TaskCancelledError("request") from error
        finally:
            self._queue.discard(work)
        try:
            yield
        finally:
            self._lock.release()

    def give_up(self, work: asyncio.Future[Any]) -> None:
        """End work that waits for its turn; what has begun goes on."""
        if work in self._queue:
            work.cancel()


class Service:
    """One runtime, and a bounded queue of requests in front of it.

    Args:
        settings: What the user chose.
        runtime: Stands in for the runtime that the settings describe.

    Attributes:
        indexes: Those that are open, by their file.
        ingestions: How far the served ones are.
        n_waiting: Requests whose work waits or runs.
        n_open: Requests that have not been answered, but for those that only look on.
        used_at: `time.monotonic()` of the last of them.
        is_draining: Whether it takes no more work; long answers end when they see it.
        is_ready: Whether the models that it preloads are loaded.
        monitor: Counts and remembers what it does.
    """

    def __init__(self, settings: Settings, runtime: Runtime | None = None) -> None:
        self.settings = settings
        self.runtime = runtime or Runtime(settings, self.tell, ChildPuller().artifact)
        self.monitor = Monitor(settings, self.runtime)
        self.indexes = OpenIndexes(settings, self.runtime.embedder)
        self.ingestions = Ingestions()
        self.n_waiting = 0
        self.n_open = 0
        self.used_at = time.monotonic()
        self.is_draining = False
        self.is_ready = not (settings.preload or settings.pinned)
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()
        self._threads = ThreadPoolExecutor(_N_THREADS, thread_name_prefix="bulk")
        self._short_threads = ThreadPoolExecutor(_N_SHORT_THREADS, thread_name_prefix="short")

    async def work(
        self,
        request: Request,
        do: Callable[[Watch], Found],
        timeout_s: float | None = None,
        turn: _Turn | None = None,
    ) -> Found:
        """Run a synchronous function in a thread, and stop it when the client leaves.

        Args:
            request: Whose work it is; its body has been read.
            do: Given a watch that is cancelled when the client leaves or time is up.
            timeout_s: Longest time, waiting included; the setting's where left out.
            turn: Held while it runs, and waited for without a thread.

        Raises:
            ServiceBusyError: Too many requests are waiting, or the service is stopping.
            ServiceSlowError: It took too long.
            TaskCancelledError: The client left.
            EmbedwellError: What `do` raised.
        """
        limit_s = self.settings.request_timeout_s if timeout_s is None else timeout_s
        watch = Watch()
        is_short = timeout_s is None and _is_short(request)
        threads = self._short_threads if is_short else self._threads
        work = self._begin(do, watch, threads, turn)
        gone = asyncio.ensure_future(_left(request))
        try:
            done, _ = await asyncio.wait(
                (work, gone),
                timeout=None if limit_s == math.inf else limit_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            watch.cancelled.set()
            if turn is not None:
                turn.give_up(work)
            return await work
        except TaskCancelledError as error:
            if done:
                raise
            raise ServiceSlowError(
                f"The request took longer than {limit_s:g} s (`request_timeout_s`).",
                "Send fewer texts at once.",
            ) from error
        finally:
            watch.cancelled.set()  # also when this coroutine is itself cancelled
            gone.cancel()

    async def with_index(
        self, request: Request, name: str, do: Callable[[Index, Watch], Found]
    ) -> Found:
        """Run a function with the index that a request names.

        Requests to one index are served in turn. However many wait, they take no thread from those
        to others, and half of the places at most: a database that is away holds up its own
        requests alone.

        Raises:
            ServiceBusyError: Too many requests to this index are waiting.
            StoreNotFoundError: There is no such index, or it is not served.
            EmbedwellError: As `work` does.
        """
        any_place = is_unix(request.scope)

        def run(watch: Watch) -> Found:
            file = index_file(name, self.settings, any_place=any_place)
            with self.indexes.using(file, watch) as index:
                return do(index, watch)

        turn = self._turns.setdefault(name, _Turn())
        if turn.n_asking >= max(1, self.settings.max_waiting // 2):
            raise ServiceBusyError(
                f"{turn.n_asking} requests to this index are waiting already (half of "
                "`max_waiting`).",
                "Ask again in a second.",
            )
        turn.n_asking += 1
        try:
            return await self.work(request, run, turn=turn)
        finally:
            turn.n_asking -= 1

    async def follow(self, do: Callable[[Watch], Found]) -> AsyncGenerator[Progress | Found, None]:
        """Run a synchronous function in a thread; give its progress, and last what it returned.

        For answers that are streamed. Leaving the iterator (as Starlette does when the client
        has left) stops the work.

        Raises:
            ServiceBusyError: Too many requests are waiting, or the service is stopping.
            EmbedwellError: What `do` raised.
        """
        loop = asyncio.get_running_loop()
        steps: asyncio.Queue[Progress | None] = asyncio.Queue()
        watch = Watch(lambda step: _from_thread(loop, steps, step))
        work = self._begin(do, watch, self._threads)
        work.add_done_callback(lambda _: steps.put_nowait(None))
        try:
            while (step := await steps.get()) is not None:
                yield step
            yield await work
        finally:
            watch.cancelled.set()
            if not work.done():
                await asyncio.wait((work,))

    def drain(self) -> None:
        """Take no more work; what runs is finished."""
        self.is_draining = True

    def close(self) -> None:
        """Unload everything, once the work that runs is done."""
        self.is_draining = True
        for threads in (self._threads, self._short_threads):
            threads.shutdown(cancel_futures=True)
        self.indexes.close()
        self.runtime.close()

    def tell(self, event: Event) -> None:
        """Take an event of the runtime, in the thread where it happens."""
        self.monitor.happened(event)

    def _begin(
        self,
        do: Callable[[Watch], Found],
        watch: Watch,
        threads: ThreadPoolExecutor,
        turn: _Turn | None = None,
    ) -> asyncio.Future[Found]:
        if self.is_draining:
            raise ServiceStoppingError
        if self.n_waiting >= self.settings.max_waiting:
            raise ServiceBusyError(
                f"{self.n_waiting} requests are waiting already (`max_waiting`).",
                "Ask again in a second.",
            )

        def run() -> Found:
            watch.check("request")
            return do(watch)

        async def run_in_turn() -> Found:
            async with turn.taken() if turn else nullcontext():
                return await asyncio.get_running_loop().run_in_executor(threads, run)

        self.n_waiting += 1
        work = asyncio.ensure_future(run_in_turn())
        work.add_done_callback(self._ended)
        return work

    def _ended(self, work: asyncio.Future[Found]) -> None:
        self.n_waiting -= 1
        if not work.cancelled():
            work.exception()  # seen, also where nobody waits for it any more


def _from_thread(
    loop: asyncio.AbstractEventLoop, steps: asyncio.Queue[Progress | None], step: Progress
) -> None:
    with suppress(RuntimeError):  # the loop has ended before the work has
        loop.call_soon_threadsafe(steps.put_nowait, step)


def _is_short(request: Request) -> bool:
    """Whether a request has so little in it that its work is short, too."""
    size = request.headers.get("content-length", "0" if request.method == "GET" else "")
    return size.isdecimal() and int(size) <= _SHORT_BYTES


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
