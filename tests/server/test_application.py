"""Whatever is sent, the service answers in the form that was asked and goes on."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AsyncExitStack

import msgspec
import pytest
from serving import MODEL, FakeRuntime
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient

from embedwell.app.config.settings import Settings
from embedwell.core.errors import (
    EmbeddingsOffError,
    ModelUnavailableError,
    OverBudgetError,
    PressureError,
    ServiceBusyError,
    ServiceSlowError,
    ServiceStoppingError,
    TaskCancelledError,
)
from embedwell.engines.wire import BINARY, ErrorAnswer
from embedwell.server.application import ENDPOINTS, application
from embedwell.server.shared.bodies import Bodies
from embedwell.server.shared.metrics import REQUESTS
from embedwell.server.shared.service import Service

TEXTS = {"model": MODEL, "texts": ["a"]}
HOST = [(b"host", b"127.0.0.1")]


def sent(client: TestClient, body: bytes, kind: str = "application/json"):
    return client.post("/v1/embed", content=body, headers={"Content-Type": kind})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"model": "m"}', id="missing"),
        pytest.param(b'{"model": "m", "texts": "one"}', id="string-for-list"),
        pytest.param(b'{"model": "m", "texts": [1]}', id="number-for-text"),
        pytest.param(b'{"model": "m", "texts": [], "more": 1}', id="unknown-field"),
        pytest.param(b'{"model": "m", "texts": [], "kind": "title"}', id="unknown-kind"),
        pytest.param(b'{"model": "\xff\xfe", "texts": []}', id="not-utf-8"),
        pytest.param(b'{"more": ' + b"[" * 100_000 + b"}", id="deep"),
        pytest.param(b'{"more": ' + b"9" * 100_000 + b"}", id="huge-number"),
        pytest.param(b'{"more": 1e999999}', id="infinite"),
    ],
)
def test_a_body_that_is_not_understood_is_a_400(fake_service, body):
    answer = sent(fake_service, body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "BadRequestError"
    assert "/v1/embed" in error["problem"]


@pytest.mark.parametrize("body", [b"\xc1", b"\x91" * 100_000, b"\xdf\xff\xff\xff\xff", b"{}"])
def test_msgpack_that_is_not_understood_is_a_400(fake_service, body):
    assert sent(fake_service, body, BINARY).status_code == 400


def test_lone_surrogates_do_no_harm(fake_service):
    assert sent(fake_service, b'{"model": "\\ud800", "texts": []}').status_code in {400, 404}


@pytest.mark.parametrize(
    ("path", "message"),
    [("/nope", "problem"), ("/v1/embeddings", "message"), ("/api/nope", None)],
)
def test_an_unknown_path_or_method_is_told_in_the_dialect(fake_service, path, message):
    answer = fake_service.request("PATCH", path)
    assert answer.status_code in {404, 405}
    error = answer.json()["error"]
    assert path in (error[message] if message else error)


def test_a_wrong_method_names_the_right_ones(fake_service):
    answer = fake_service.delete("/v1/embed")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


def test_what_we_do_not_have_is_refused_in_words_that_its_clients_show(fake_service):
    answer = fake_service.post("/v1/chat/completions", json={})
    assert answer.status_code == 404
    assert "/v1/chat/completions" in answer.json()["error"]["message"]


def test_head_is_answered_as_get(fake_service):
    answer = fake_service.head("/health")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "waits"),
    [
        (PressureError("Full.", "Wait."), 503, True),
        (OverBudgetError("Too big.", "Raise it."), 503, True),
        (EmbeddingsOffError("Off.", "Switch on."), 503, False),
        (ServiceBusyError("Busy.", "Wait.", 3), 429, True),
        (ServiceStoppingError(), 503, True),
    ],
)
def test_each_refusal_has_its_status(fake_service, runtime, fault, status, waits):
    runtime.fault = fault
    answer = fake_service.post("/v1/embed", json=TEXTS)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == type(fault).__name__
    assert ("Retry-After" in answer.headers) == waits


def test_errors_are_binary_where_that_was_asked_for(fake_service):
    asked = {"model": "none", "texts": []}
    answer = fake_service.post("/v1/embed", json=asked, headers={"Accept": BINARY})
    assert msgspec.msgpack.decode(answer.content, type=ErrorAnswer).error.type == (
        "UnknownModelError"
    )


def test_an_unknown_fault_is_logged_and_not_shown(fake_service, runtime, caplog):
    runtime.fault = ZeroDivisionError("secret")
    with caplog.at_level(logging.ERROR):
        answer = fake_service.post("/v1/embed", json=TEXTS)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "ZeroDivisionError: secret" in caplog.text
    runtime.fault = None
    assert fake_service.post("/v1/embed", json=TEXTS).status_code == 200


PIECE = {"type": "http.request", "body": b"{", "more_body": True}


def a_request(*messages: dict, then_s: float = 0.0) -> Request:
    """One whose body comes as these messages, and then nothing for a while."""

    async def parts():
        for message in messages:
            yield message
        await asyncio.sleep(then_s)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    return Request(scope, aiter(parts()).__anext__)


def small(**chosen) -> TestClient:
    settings = Settings(**chosen)
    return TestClient(application(Service(settings, FakeRuntime(settings))), "http://127.0.0.1")


def test_a_body_over_the_limit_is_a_413_however_it_is_sent():
    client = small(max_request="100B")
    text = json.dumps(TEXTS | {"texts": ["a" * 200]}).encode()
    assert sent(client, text).status_code == 413
    pieces = (text[i : i + 10] for i in range(0, len(text), 10))
    assert client.post("/v1/embed", content=pieces).status_code == 413
    endless = (b"a" * 100 for _ in range(100))
    assert client.post("/v1/embed", content=endless).status_code == 413
    headers = {"Expect": "100-continue"}
    assert client.post("/v1/embed", content=text, headers=headers).status_code == 413
    assert client.post("/v1/embed", json=TEXTS).status_code == 200


def test_bodies_that_wait_are_bounded_together():
    def asking() -> Request:
        last = {"type": "http.request", "body": b'{"text": "a"}', "more_body": False}
        return a_request(*[PIECE | {"body": b" " * 10}] * 10, last)

    async def crowd() -> None:
        bodies = Bodies(120, 10.0)
        async with AsyncExitStack() as stack:
            for _ in range(8):
                await stack.enter_async_context(bodies.of(asking(), dict))
            assert bodies.n_bytes == 8 * 113
            with pytest.raises(ServiceBusyError, match="bytes are waiting"):
                await stack.enter_async_context(bodies.of(asking(), dict))
            assert bodies.n_bytes == 8 * 113
        assert bodies.n_bytes == 0

    asyncio.run(crowd())


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(
            a_request(PIECE, {"type": "http.disconnect"}), TaskCancelledError, id="left-in-it"
        ),
        pytest.param(a_request(PIECE, then_s=10.0), ServiceSlowError, id="slow"),
    ],
)
def test_a_body_that_does_not_come_is_no_fault_of_the_services(body, error):
    async def ask() -> None:
        bodies = Bodies(120, 0.05)
        with pytest.raises(error):
            await bodies.of(body, dict).__aenter__()
        assert bodies.n_bytes == 0

    asyncio.run(ask())


def test_what_can_never_be_taken_is_refused_before_it_comes():
    client = small(max_request="100B")
    headers = {"Content-Length": "99999999999"}
    assert client.post("/v1/embed", content=b"{", headers=headers).status_code == 413


def test_a_model_that_cannot_be_had_is_in_the_log(fake_service, runtime, caplog):
    runtime.fault = ModelUnavailableError("No network.", "Name a folder.")
    with caplog.at_level(logging.ERROR):
        assert fake_service.post("/v1/embed", json=TEXTS).status_code == 500
    assert "POST /v1/embed: No network." in caplog.text


def test_a_request_that_takes_too_long_is_told_so():
    settings = Settings(request_timeout_s=0.05)
    runtime = FakeRuntime(settings)
    runtime.hold.clear()
    client = TestClient(application(Service(settings, runtime)), "http://127.0.0.1")
    answer = client.post("/v1/embed", json=TEXTS)
    assert answer.status_code == 504
    assert runtime.cancelled.is_set()


def test_a_service_that_stops_takes_no_more_work():
    runtime = FakeRuntime()
    service = Service(runtime.settings, runtime)
    client = TestClient(application(service), "http://127.0.0.1")
    assert client.get("/ready").status_code == 200
    service.drain()
    assert client.get("/health").status_code == 200
    for answer in (client.get("/ready"), client.post("/v1/embed", json=TEXTS)):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1


def test_a_request_whose_time_to_finish_is_over_is_sent_elsewhere():
    sent: list[dict] = []

    async def receive() -> dict:
        if not begun:
            begun.append(True)
            return {"type": "http.request", "body": json.dumps(TEXTS).encode()}
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: dict) -> None:
        sent.append(message)

    async def leave() -> None:
        runtime = FakeRuntime()
        runtime.hold.clear()
        service = Service(runtime.settings, runtime)
        scope = {"type": "http", "method": "POST", "path": "/v1/embed", "headers": HOST}
        scope |= {"server": ("127.0.0.1", 8437), "query_string": b"", "root_path": ""}
        asked = asyncio.ensure_future(application(service)(scope, receive, send))
        await asyncio.to_thread(runtime.begun.wait, 10)
        service.drain()
        asked.cancel()
        await asked
        service.close()

    begun: list[bool] = []
    asyncio.run(leave())
    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"])["error"]["type"] == "ServiceStoppingError"


def test_every_request_is_observed_with_its_route():
    runtime = FakeRuntime()
    service = Service(runtime.settings, runtime)
    client = TestClient(application(service), "http://127.0.0.1")
    client.put(f"/v1/runtime/models/{MODEL}", json={})
    client.get("/nope")
    counted = [s for s in service.monitor.counters.samples() if s.metric is REQUESTS]
    assert [(s.labels, s.value) for s in counted] == [
        (("PUT", "/v1/runtime/models/{model:path}", "200"), 1),
        (("GET", "none", "404"), 1),
    ]


def test_models_are_loaded_listed_and_unloaded(fake_service):
    path = f"/v1/runtime/models/{MODEL}"
    assert fake_service.get("/v1/runtime/models").json() == {"models": []}
    loaded = fake_service.put(path, json={"pinned": True, "priority": 2}).json()
    assert (loaded["model"], loaded["pinned"], loaded["priority"]) == (MODEL, True, 2)
    assert fake_service.get("/v1/runtime/models").json()["models"] == [loaded]
    assert fake_service.delete(path).json() == {"unloaded": True}
    assert fake_service.delete(path).json() == {"unloaded": False}
    named_with_a_slash = "/v1/runtime/models/sentence-transformers%2Fall-MiniLM-L6-v2"
    assert fake_service.put(named_with_a_slash, json={}).json()["model"] == MODEL
    assert fake_service.delete(named_with_a_slash).json() == {"unloaded": True}
    assert fake_service.put("/v1/runtime/models/none", json={}).status_code == 404
    assert fake_service.delete("/v1/runtime/models/none").status_code == 404


def test_every_route_of_the_application_is_an_endpoint_and_every_endpoint_a_route():
    served = application(Service(Settings(), FakeRuntime()))
    inner = served._inner._inner
    routes = {
        (method, route.path)
        for route in inner.routes
        for method in route.methods
        if isinstance(route, Route)
    }
    described = {(e.method, e.path) for e in ENDPOINTS}
    heads = {("HEAD", path) for method, path in described if method == "GET"}
    assert routes == described | heads
    assert len(described) == len(ENDPOINTS)
