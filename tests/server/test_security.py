"""Who may ask."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import MODEL, FakeRuntime
from starlette.testclient import TestClient

from embedwell.app.config.settings import Settings
from embedwell.core.errors import ServiceStartError
from embedwell.server.application import application
from embedwell.server.shared.security import (
    Rules,
    check_exposure,
    foreign,
    has_key,
    is_loopback,
    wrong_host,
)
from embedwell.server.shared.service import Service

OURS = "127.0.0.1:8437"
OPEN = Rules("", "127.0.0.1", frozenset())
KEYED = Rules("secret", "127.0.0.1", frozenset())
FRIENDLY = Rules("", "127.0.0.1", frozenset({"https://app.example"}))
EMBED = {"model": MODEL, "texts": ["a"]}


def client(**chosen) -> TestClient:
    settings = Settings(**chosen)
    served = application(Service(settings, FakeRuntime(settings)))
    return TestClient(served, f"http://{OURS}")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8437", "localhost:8437", "LOCALHOST", "a.localhost", "[::1]:8437"],
)
def test_a_host_of_this_machine_may_be_asked_for(host):
    assert wrong_host({"host": host}, OPEN) == ""


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8437", "10.0.0.1", "["],
)
def test_a_rebound_name_may_not(host):
    assert wrong_host({"host": host}, OPEN)


def test_the_name_that_it_listens_on_may_be_asked_for_and_with_a_key_any():
    assert not wrong_host({"host": "box.lan:8437"}, Rules("", "box.lan", frozenset()))
    assert not wrong_host({"host": "embed.example"}, KEYED)


@pytest.mark.parametrize(
    ("headers", "rules"),
    [
        ({}, OPEN),
        ({"host": OURS, "origin": f"http://{OURS}"}, OPEN),
        ({"host": OURS, "origin": "https://app.example"}, FRIENDLY),
        ({"host": OURS, "sec-fetch-site": "same-origin"}, OPEN),
        ({"host": OURS, "sec-fetch-site": "none"}, OPEN),
        (
            {
                "host": OURS,
                "sec-fetch-site": "cross-site",
                "sec-fetch-mode": "navigate",
                "sec-fetch-dest": "document",
            },
            OPEN,
        ),
    ],
)
def test_programs_and_our_own_pages_may_ask(headers, rules):
    assert foreign(headers, "GET", rules) == ""


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"host": OURS, "origin": "https://evil.example"}),
        ("POST", {"host": OURS, "origin": "null"}),
        ("POST", {"host": OURS, "origin": "http://127.0.0.1:9999"}),
        ("POST", {"origin": "http://"}),
        ("GET", {"host": OURS, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}),
        ("GET", {"host": OURS, "sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}),
        (
            "GET",
            {
                "host": OURS,
                "sec-fetch-site": "cross-site",
                "sec-fetch-mode": "navigate",
                "sec-fetch-dest": "iframe",
            },
        ),
        (
            "POST",
            {
                "host": OURS,
                "sec-fetch-site": "cross-site",
                "sec-fetch-mode": "navigate",
                "sec-fetch-dest": "document",
            },
        ),
    ],
)
def test_pages_of_other_sites_may_not(method, headers):
    assert foreign(headers, method, OPEN)


@given(st.sampled_from(["Bearer", "bearer", "Basic", ""]), st.text(), st.text(min_size=1))
def test_only_the_key_itself_is_the_key(scheme, given, key):
    as_sent = given.encode("utf-8", "replace")
    headers = {"authorization": f"{scheme} {as_sent.decode('latin-1')}"}
    key = key.encode("utf-8", "replace").decode()
    is_right = scheme.lower() == "bearer" and as_sent.strip(b" ") == key.encode()
    assert has_key(headers, key) == is_right


@pytest.mark.parametrize("key", ["secret", "clé", "a b"])
def test_the_key_opens(key):
    assert has_key({"authorization": f"Bearer {key.encode().decode('latin-1')}"}, key)


@pytest.mark.parametrize("name", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_key(name):
    assert is_loopback(name)
    check_exposure(Settings(host=name))


@pytest.mark.parametrize("name", ["0.0.0.0", "::", "192.168.1.5", "box.lan", ""])
def test_listening_beyond_this_machine_needs_a_key(name):
    with pytest.raises(ServiceStartError, match="api_key"):
        check_exposure(Settings(host=name))
    check_exposure(Settings(host=name, api_key="secret"))
    check_exposure(Settings(host=name, port=0))


def test_over_tcp_the_key_is_asked_for():
    asked = client(api_key="secret")
    refused = asked.post("/v1/embed", json=EMBED)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert asked.get("/health").status_code == 200
    assert asked.get("/nope").status_code == 401
    headers = {"Authorization": "Bearer secret"}
    assert asked.post("/v1/embed", json=EMBED, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/v1/embed", "/v1/embeddings", "/api/embed"])
def test_a_foreign_page_is_refused_in_every_dialect(path):
    headers = {"Origin": "https://evil.example"}
    refused = client().post(path, json=EMBED, headers=headers)
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers
    assert "evil.example" in refused.text


def test_a_rebound_name_is_refused():
    assert client().get("/health", headers={"Host": "evil.example"}).status_code == 403


def test_an_allowed_page_may_read_answers_and_errors():
    asked = client(cors_origins=("https://app.example/",), api_key="secret")
    headers = {"Origin": "https://app.example"}
    preflight = asked.options(
        "/v1/embed",
        headers=headers
        | {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,x-stainless-os",
        },
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-headers"] == "authorization,x-stainless-os"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for answer in (preflight, asked.post("/v1/embed", json=EMBED, headers=headers)):
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["vary"] == "Origin"


def test_a_preflight_of_another_page_is_refused():
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert client().options("/v1/embed", headers=headers).status_code == 403


def over_unix(service: Service, headers: dict[str, str]) -> int:
    """The status of `GET /v1/runtime/models` as it comes over the Unix socket."""
    status = 0

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/runtime/models",
        "raw_path": b"/v1/runtime/models",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("/run/s", None),
        "client": None,
        "scheme": "http",
        "root_path": "",
        "http_version": "1.1",
    }
    asyncio.run(application(service)(scope, receive, send))
    return status


def test_over_the_unix_socket_no_key_or_host_is_asked_for_but_no_foreign_page_gets_through():
    settings = Settings(api_key="secret")
    service = Service(settings, FakeRuntime(settings))
    assert over_unix(service, {"host": "anything"}) == 200
    assert over_unix(service, {"host": "anything", "origin": "https://evil.example"}) == 403


def test_pages_may_not_be_framed_or_load_from_elsewhere():
    headers = client().get("/docs").headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
