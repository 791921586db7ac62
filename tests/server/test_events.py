"""Events reach every listener, from any thread; a slow one loses the oldest and is told."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import MODEL, wait_until
from watching import TellingRuntime, watched

from embedwell.core.errors import ServiceBusyError
from embedwell.core.events import Event, Watch
from embedwell.server.about.events import STREAMED, EventStream, table, written
from embedwell.server.shared.hub import Hub, Queue


def step(done: float, artifact: str = "m@q8", stage: str = "download") -> Event:
    return Event("loading", artifact, {"stage": stage, "done": done, "total": 9.0, "unit": "bytes"})


def gone(number: int) -> Event:
    return Event("unloaded", f"m{number}@q8", {"reason": "idle"})


def blocks(text: str) -> list[tuple[str, dict]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if "data" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


@given(st.integers(0, 30), st.integers(1, 10))
def test_a_full_queue_drops_the_oldest_and_says_how_many(n_events, most):
    async def told():
        queue = Queue(asyncio.get_running_loop(), most)
        for number in range(n_events):
            queue.put(gone(number))
        return queue.take(), queue.take()

    (lost, events), after = asyncio.run(told())
    assert lost == max(0, n_events - most)
    assert [event.artifact for event in events] == [f"m{n}@q8" for n in range(lost, n_events)]
    assert after == (0, [])
    kinds = [kind for kind, _ in blocks(written(lost, events).decode())]
    assert kinds == ["lost"] * bool(lost) + ["unloaded"] * len(events)


def test_a_step_replaces_the_one_before_it_and_no_other():
    async def told():
        queue = Queue(asyncio.get_running_loop(), 10)
        for event in (step(1), step(2), step(3, stage="load"), step(4, "n@q8", "load"), gone(1)):
            queue.put(event)
        queue.put(step(5))
        return queue.take()

    lost, events = asyncio.run(told())
    assert lost == 0
    assert [event.detail.get("done") for event in events] == [2, 3, 4, None, 5]


def test_any_thread_may_tell_also_when_the_loop_has_ended():
    hub = Hub()

    async def listen() -> list[str]:
        with hub.listening() as queue:
            thread = threading.Thread(target=hub.publish, args=(gone(1),))
            thread.start()
            await asyncio.wait_for(queue.wait(), 10)
            thread.join()
            kept.append(queue)
            return [event.artifact for event in queue.take()[1]]

    kept: list[Queue] = []
    assert asyncio.run(listen()) == ["m1@q8"]
    assert hub.n_listeners == 0
    kept[0].put(gone(2))


def test_there_are_only_so_many_listeners():
    async def listen() -> None:
        hub = Hub(most_listeners=1)
        with hub.listening():
            assert hub.is_full
            with pytest.raises(ServiceBusyError, match="1 programs listen"), hub.listening():
                pass
        with hub.listening():
            pass

    asyncio.run(listen())


def test_a_silent_stream_is_kept_alive_and_ends_when_the_service_stops():
    sent: list[bytes] = []
    is_over = threading.Event()

    async def send(message) -> None:
        sent.append(message.get("body", b""))
        if b"still here" in sent[-1]:
            is_over.set()

    async def stream() -> None:
        never = asyncio.Event()
        scope = {"type": "http", "method": "GET"}
        response = EventStream(Hub(), is_over.is_set, keep_alive_s=0.01)

        async def receive():
            await never.wait()

        await asyncio.wait_for(response(scope, receive, send), 10)

    asyncio.run(stream())
    assert b": still here\n\n" in sent
    assert sent[-1] == b""


def test_a_listener_hears_of_a_model_and_is_forgotten_when_it_leaves():
    runtime = TellingRuntime()
    with watched(runtime) as (url, service):
        with urllib.request.urlopen(f"{url}/v1/events", timeout=20) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            wait_until(lambda: service.monitor.hub.n_listeners == 1)
            assert not runtime.held, "listening loads nothing"
            assert service.n_open == 0, "a listener does not keep the service from leaving"
            runtime.load(MODEL, Watch())
            text = ""
            while '"took_s"' not in text:
                text += answer.readline().decode()
        kinds = [(kind, told["artifact"]) for kind, told in blocks(text)]
        assert kinds[-1] == ("loaded", f"{MODEL}@q8")
        wait_until(lambda: service.monitor.hub.n_listeners == 0)


def test_a_stopping_service_ends_its_streams():
    with watched(TellingRuntime()) as (url, service):
        answer = urllib.request.urlopen(f"{url}/v1/events", timeout=20)
        service.drain()
        with answer:
            assert b"listening" in answer.read()


def test_too_many_listeners_are_told_to_come_back(fake_service):
    hub = fake_service.app._service.monitor.hub
    hub._most = 0
    refused = fake_service.get("/v1/events")
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "10"


def test_head_says_what_would_come(fake_service):
    answer = fake_service.head("/v1/events")
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_every_event_is_in_the_table():
    assert all(f"| `{kind}` |" in table() for kind in STREAMED)
