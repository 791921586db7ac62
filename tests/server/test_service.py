"""The queue in front of the runtime: bounded, and emptied when clients leave."""

from __future__ import annotations

import asyncio
import math

import pytest
from serving import FakeRuntime

from embedwell.app.config.settings import Settings
from embedwell.core.errors import (
    ServiceBusyError,
    ServiceStoppingError,
    TaskCancelledError,
    UnknownModelError,
)
from embedwell.core.events import Progress, Watch
from embedwell.server.shared.service import Service


class Client:
    """Stands in for a request whose client can leave."""

    method = "POST"

    def __init__(self, n_bytes: int = 100) -> None:
        self.gone = asyncio.Event()
        self.headers = {"content-length": str(n_bytes)}

    async def receive(self) -> dict[str, str]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


def held(**chosen) -> tuple[Service, FakeRuntime]:
    """A service whose work waits."""
    settings = Settings(**chosen)
    runtime = FakeRuntime(settings)
    runtime.hold.clear()
    return Service(settings, runtime), runtime


def embed(service: Service):
    return lambda watch: service.runtime.embed("all-MiniLM-L6-v2", ["a"], "query", watch)


async def begun(runtime: FakeRuntime) -> None:
    await asyncio.to_thread(runtime.begun.wait, 10)
    assert runtime.begun.is_set()


def test_work_stops_when_its_client_leaves():
    async def leave() -> None:
        service, runtime = held()
        client = Client()
        work = asyncio.ensure_future(service.work(client, embed(service)))
        await begun(runtime)
        client.gone.set()
        with pytest.raises(TaskCancelledError):
            await work
        assert runtime.cancelled.is_set()
        assert service.n_waiting == 0

    asyncio.run(leave())


def test_work_stops_when_its_request_is_cancelled():
    async def cancel() -> None:
        service, runtime = held()
        work = asyncio.ensure_future(service.work(Client(), embed(service)))
        await begun(runtime)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert await asyncio.to_thread(runtime.cancelled.wait, 10)

    asyncio.run(cancel())


def test_requests_over_the_bound_are_told_to_come_back():
    async def crowd() -> None:
        service, runtime = held(max_waiting=2)
        waiting = [asyncio.ensure_future(service.work(Client(), embed(service))) for _ in "ab"]
        await begun(runtime)
        with pytest.raises(ServiceBusyError, match="2 requests"):
            await service.work(Client(), embed(service))
        runtime.hold.set()
        await asyncio.gather(*waiting)
        assert service.n_waiting == 0
        await service.work(Client(), embed(service), timeout_s=math.inf)

    asyncio.run(crowd())


def test_short_requests_do_not_wait_behind_bulk():
    async def crowd() -> None:
        service, runtime = held()
        bulk = [
            asyncio.ensure_future(service.work(Client(1 << 20), embed(service))) for _ in range(40)
        ]
        await begun(runtime)
        assert await service.work(Client(), lambda _: "at once") == "at once"
        runtime.hold.set()
        await asyncio.gather(*bulk)

    asyncio.run(crowd())


def test_draining_finishes_what_runs_and_takes_no_more():
    async def drain() -> None:
        service, runtime = held()
        work = asyncio.ensure_future(service.work(Client(), embed(service)))
        await begun(runtime)
        service.drain()
        with pytest.raises(ServiceStoppingError):
            await service.work(Client(), embed(service))
        runtime.hold.set()
        assert (await work).vectors.shape == (1, 384)
        service.close()

    asyncio.run(drain())


def test_followed_work_tells_its_progress_and_then_what_it_found():
    async def follow() -> None:
        service, runtime = held()
        runtime.hold.set()

        def load(watch: Watch) -> str:
            runtime.load("all-MiniLM-L6-v2", watch)
            return "done"

        steps = [step async for step in service.follow(load)]
        assert steps == [*(Progress("load", done, 3, "steps") for done in range(3)), "done"]
        with pytest.raises(UnknownModelError):
            [_ async for _ in service.follow(lambda watch: runtime.load("none", watch))]

    asyncio.run(follow())


def test_followed_work_stops_when_nobody_follows():
    async def leave() -> None:
        service, runtime = held()

        def work(watch: Watch) -> None:
            watch.progress("begin", 0, 1, "steps")
            embed(service)(watch)

        steps = service.follow(work)
        assert await anext(steps) == Progress("begin", 0, 1, "steps")
        await begun(runtime)
        await steps.aclose()
        assert runtime.cancelled.is_set()
        assert service.n_waiting == 0

    asyncio.run(leave())
