"""How servers of other programs are asked: addresses, pauses, what is said of a refusal, TLS."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from contextlib import closing, suppress
from datetime import UTC, datetime
from email.utils import format_datetime

import msgspec
import pytest
from remote_servers import FakeServer, RefusalError, serving

from embedwell.core.errors import (
    RemoteAnswerError,
    RemoteBusyError,
    RemoteError,
    RemoteGoneError,
    RemoteRefusedError,
    RemoteSlowError,
    SettingsError,
    TaskCancelledError,
)
from embedwell.core.events import Watch
from embedwell.engines.connection import Address, Answer, BrokenAnswerError
from embedwell.engines.remote import dial as dialling
from embedwell.engines.remote.client import Client, place_of
from embedwell.engines.remote.dialect import in_order, rows
from embedwell.engines.remote.faults import fault_of, pause_s, retry_after_s, said_in
from embedwell.engines.remote.registry import DIALECTS
from embedwell.engines.remote.server import Server


def answered(status, body=b'{"error":"no"}', **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return fault_of(Answer(status, named, body), "http://there", "/embed")


@pytest.mark.parametrize(
    ("url", "shown", "prefix"),
    [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434", ""),
        ("https://api.example.com/v1", "https://api.example.com", ""),
        ("https://api.example.com/v1/", "https://api.example.com", ""),
        ("http://[::1]:80/a/b", "http://[::1]:80/a/b", "/a/b"),
        ("http://host/proxy/v1", "http://host:80/proxy", "/proxy"),
        ("https://host/v1/embeddings", "https://host", ""),
        ("http://host:0/embed", "http://host:0/embed", "/embed"),
        (
            "http://bücher.example/süd%20",
            "http://xn--bcher-kva.example:80/s%C3%BCd%20",
            "/s%C3%BCd%20",
        ),
    ],
)
def test_an_address_is_taken_apart(url, shown, prefix):
    place = place_of(url)
    assert (str(place), place.prefix) == (shown, prefix)


@pytest.mark.parametrize(
    "url",
    [
        *("", "host", "ftp://host", "http://", "http://a:b@host", "http://host:99999"),
        *("http://a..b", f"http://{'a' * 64}.example"),
    ],
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(SettingsError, match="no address of a server"):
        place_of(url)


def test_no_form_of_an_address_shows_the_key():
    place = place_of("http://host/v1", "sesame")
    assert place.address.api_key == "sesame"
    assert "sesame" not in f"{place} {place!r} {place.address}"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, RemoteAnswerError),
        (302, RemoteRefusedError),
        (400, RemoteRefusedError),
        (401, RemoteRefusedError),
        (404, RemoteRefusedError),
        (429, RemoteBusyError),
        (500, RemoteRefusedError),
        (502, RemoteGoneError),
        (503, RemoteBusyError),
    ],
)
def test_a_status_says_what_happened(status, kind):
    assert type(answered(status)) is kind


def test_only_refusals_of_texts_are_tried_with_fewer():
    assert answered(413).is_of_texts
    assert answered(422).is_of_texts
    assert not answered(401, b'{"error":"maximum exceeded"}').is_of_texts
    assert not answered(409).is_of_texts
    assert answered(409, b'{"error":"input is too large to process"}').is_of_texts


def test_an_account_without_credit_is_not_asked_again():
    error = answered(429, b'{"error":{"code":"insufficient_quota","message":"pay first"}}')
    assert isinstance(error, RemoteRefusedError)
    assert "pay first" in str(error)
    assert pause_s(error, 0, 0.5) is None


def test_pauses_grow_and_end():
    gone = RemoteGoneError("a", "b")
    assert [pause_s(gone, n, 0.5) for n in range(3)] == [0.2, 0.4, None]
    busy = RemoteBusyError("a", "b")
    assert [pause_s(busy, n, 0.5) for n in (0, 1, 10)] == [0.5, 1.0, 8.0]
    assert pause_s(RemoteBusyError("a", "b", 20.0), 0, 0.5) == 20.0
    assert pause_s(answered(500), 0, 0.5) == 0.2
    assert pause_s(answered(500, b'{"error":"too large"}'), 0, 0.5) is None
    assert pause_s(answered(400), 0, 0.5) is None
    assert pause_s(RemoteSlowError("a", "b"), 0, 0.5) is None


def test_retry_after_is_a_number_or_a_date():
    at = datetime(2030, 1, 1, tzinfo=UTC)
    assert retry_after_s("7", 0) == 7
    assert retry_after_s(format_datetime(at, usegmt=True), at.timestamp() - 30) == 30
    assert retry_after_s(format_datetime(at, usegmt=True), at.timestamp() + 30) == 0
    assert retry_after_s("", 0) == retry_after_s("soon", 0) == retry_after_s("-5", 0) == 0
    assert retry_after_s("0.5", 0) == 0.5
    assert retry_after_s("9" * 400, 0) == retry_after_s(format_datetime(at), 0) == 86_400
    error = answered(429, retry_after="3600")
    assert (error.retry_after_s, "3,600 s" in error.remedy) == (3600, True)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": "plain"}', "plain"),
        (b'{"error": {"message": "deep.\\n", "code": 4}}', "deep"),
        (b'{"detail": {"msg": "Server is busy", "type": "x"}}', "Server is busy"),
        (b'{"detail": [1, 2]}', "[1,2]"),
        (b"<html>Bad gateway</html>", "a page of HTML"),
        (b"", "nothing"),
        (b"\xff", "\ufffd"),
        (b"x" * 300, "x" * 200 + "…"),
        (b'{"error": "a\\u001b]0;title\\u0007b"}', "a ]0;title b"),
    ],
)
def test_what_a_server_says_is_one_line(body, said):
    assert said_in(body) == said


def test_rows_are_one_for_each_text_and_of_one_length():
    assert rows([[1.0, 2.0], []], 2).tolist()[0] == [1.0, 2.0]
    for values, n in (([[1.0]], 2), ([[1.0], [1.0, 2.0]], 2), ([[]], 1)):
        with pytest.raises(RemoteAnswerError):
            rows(values, n)
    assert list(in_order([2, 0, 1], 3)) == [1, 2, 0]
    for indexes in ([0, 0], [1, 2], [0]):
        with pytest.raises(RemoteAnswerError):
            in_order(indexes, 2)


@pytest.mark.parametrize(
    ("dialect", "path", "answer", "said"),
    [
        (
            "koboldcpp",
            "/api/extra/version",
            {"result": "KoboldCpp", "version": "1.9", "embeddings": False},
            "--embeddingsmodel",
        ),
        ("tei", "/info", FakeServer("tei").info() | {"model_type": {"reranker": {}}}, "embed"),
    ],
)
def test_a_server_without_a_model_that_embeds_is_told(dialect, path, answer, said):
    def ask(method, asked, body):
        assert asked == path
        return msgspec.json.encode(answer)

    with pytest.raises(RemoteRefusedError, match=said):
        DIALECTS[dialect].look(ask, ["any"])


def test_a_model_of_ollama_is_found_by_any_of_its_names_and_tags():
    tags = {"models": [{"name": "all-minilm:33m", "digest": "d1"}, {"name": "b:latest"}]}

    def ask(method, path, body):
        if path == "/api/show":
            raise RemoteRefusedError("a", "b", "not known here")
        return msgspec.json.encode(tags if path == "/api/tags" else {"version": "1"})

    look = DIALECTS["ollama"].look
    assert look(ask, ["all-MiniLM-L6-v2", "all-minilm"]).model == "all-minilm:33m"
    assert look(ask, ["all-minilm"]).digest == "d1"
    assert look(ask, ["b"]).model == "b:latest"
    assert look(ask, ["c"]).model == "c"


# Connections


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate for `localhost`, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(made)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"openssl cannot make a certificate here: {error}")
    return key, made


@pytest.fixture
def over_tls(certificate):
    """The port of a server that answers `{}` over TLS to each connection's first request."""
    key, made = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    listening = socket.create_server(("localhost", 0))

    def answer():
        with suppress(OSError):
            while True:
                plain, _ = listening.accept()
                with suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as one:
                    one.recv(1 << 16)
                    one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                    one.recv(1)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    with suppress(OSError):  # wakes `accept`
        listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(5)


def test_tls_is_spoken_to_those_whose_certificate_is_trusted(over_tls, certificate, monkeypatch):
    with closing(Client(place_of(f"https://localhost:{over_tls}"))) as client:
        dialling._trust.cache_clear()
        with pytest.raises(RemoteError, match=r"not trusted: self.*SSL_CERT_FILE"):
            client.ask("GET", "/", b"", Watch(), 0.0)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
        dialling._trust.cache_clear()
        assert client.ask("GET", "/", b"", Watch(), 0.0) == b"{}"
    dialling._trust.cache_clear()


def test_a_stop_is_heard_while_a_connection_is_made(monkeypatch):
    held, made = threading.Event(), []

    def slowly(address):
        held.wait(10)
        made.append(socket.socket())
        return made[0]

    monkeypatch.setattr(dialling, "_connected", slowly)
    watch = Watch()
    threading.Timer(0.1, watch.cancelled.set).start()
    with pytest.raises(TaskCancelledError):
        dialling.dial(Address(None, "there", 1), watch)
    held.set()
    for thread in threading.enumerate():
        if thread.name == "embedwell connect":
            thread.join()
    assert made[0].fileno() == -1  # nobody waits for it any more


def test_what_does_not_speak_http_is_told(monkeypatch):
    def not_http(address, watch):
        raise BrokenAnswerError("what answers does not speak HTTP")

    monkeypatch.setattr("embedwell.engines.remote.client.dial", not_http)
    client = Client(place_of("http://there"))
    with closing(client), pytest.raises(RemoteAnswerError, match="does not speak HTTP"):
        client.ask("GET", "/", b"", Watch())


def test_what_does_not_speak_tls_is_told():
    with (
        serving(FakeServer("ollama")) as server,
        closing(Client(place_of(server.url.replace("http:", "https:")))) as client,
        pytest.raises(RemoteError, match=r"does not speak TLS.*must begin with http\."),
    ):
        client.ask("GET", "/", b"", Watch(), 0.0)


def test_a_connection_that_is_not_made_in_time_is_no_slow_answer(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(dialling, "_CONNECT_S", 0.05)
        place = place_of(f"https://127.0.0.1:{silent.getsockname()[1]}")
        told = pytest.raises(RemoteGoneError, match=r"no connection within 0\.05 s")
        with closing(Client(place)) as client, told:
            client.ask("GET", "/", b"", Watch(), 0.0)


def test_an_answer_that_is_compressed_unasked_is_told():
    class Compressing(FakeServer):
        def get(self, path):
            raise RefusalError(200, b"\x1f\x8b", {"Content-Encoding": "gzip"})

    with (
        serving(Compressing("ollama")) as server,
        closing(Client(place_of(server.url))) as client,
        pytest.raises(RemoteAnswerError, match=r"compresses its answers \(gzip\)"),
    ):
        client.ask("GET", "/", b"", Watch())


def test_who_refuses_the_key_whatever_it_is_asked_is_given_another():
    with serving(FakeServer("openai", key="sesame")) as server:
        client = Client(place_of(server.url, "wrong"))
        with closing(client), pytest.raises(RemoteRefusedError) as caught:
            Server(client, "auto", ("fake",)).look(Watch())
    assert "Set `remote_api_key`" in caught.value.remedy
    assert "wrong" not in str(caught.value)


def test_connections_are_kept():
    with serving(FakeServer("ollama")) as server, closing(Client(place_of(server.url))) as client:
        for _ in range(3):
            assert client.ask("GET", "/api/version", b"", Watch())
        assert len(client._pool._idle) == 1
