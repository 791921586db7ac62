"""The client's side of the wire, against answers given byte by byte."""

from __future__ import annotations

import itertools
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import answer, saying, scripted

from embedwell.core.errors import (
    BadRequestError,
    OverBudgetError,
    ServiceBusyError,
    ServiceError,
    ServiceGoneError,
    ServiceStoppingError,
    TaskCancelledError,
)
from embedwell.core.events import Watch
from embedwell.engines.connection import Address, Connection
from embedwell.engines.http import HttpEngine
from embedwell.engines.wire import EmbedRequest, ErrorAnswer, ErrorBody

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ew") as folder:
        yield Path(folder) / "s"


def asked(path, script, timeout_s=5.0):
    with scripted(path, script, timeout_s) as service, closing(HttpEngine(service.address)) as one:
        return one.request("GET", "/x")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        answer(b"body"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"body"),
        CHUNKED + b"2\r\nbo\r\n2;name=value\r\ndy\r\n0\r\nTrailer: 1\r\n\r\n",
    ],
)
def test_an_answer_is_read_however_it_is_framed(path, said):
    assert asked(path, saying(said)) == b"body"


def test_an_answer_may_end_with_its_connection(path):
    def script(connection, number):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nbo")
        connection.sendall(b"dy")
        connection.shutdown(socket.SHUT_RDWR)

    assert asked(path, script) == b"body"


def test_an_answer_without_a_body_is_empty(path):
    assert asked(path, saying(b"HTTP/1.1 204 No Content\r\n\r\n")) == b""


@given(
    body=st.binary(max_size=300),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    is_chunked=st.booleans(),
)
def test_where_the_network_cuts_an_answer_does_not_matter(body, cuts, is_chunked):
    size = max(1, len(body) // 3)
    parts = [body[begin : begin + size] for begin in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    said = CHUNKED + chunks if is_chunked else answer(body)
    ours, theirs = socket.socketpair()
    connection = Connection(Address(Path("unused")))
    connection._socket = ours
    bounds = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})

    def send():
        for begin, end in itertools.pairwise(bounds):
            theirs.sendall(said[begin:end])

    sending = threading.Thread(target=send)
    sending.start()
    with theirs:
        assert connection.exchange("GET", "/", {}, b"", Watch()).body == body
        sending.join()
        connection.close()


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        CHUNKED + b"5\r\nab",
        CHUNKED + b"zz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 O",
        b"x" * 70_000,
        b"",
    ],
)
def test_a_broken_answer_is_a_service_that_went_away(path, said):
    def script(connection, number):
        connection.sendall(said)
        connection.shutdown(socket.SHUT_RDWR)

    with pytest.raises(ServiceGoneError, match="in the middle of a request"):
        asked(path, script)


def test_no_service_is_said_with_the_way_out(path):
    with pytest.raises(ServiceGoneError, match=r"No service answers.*embedwell serve"):
        HttpEngine(Address(path)).request("GET", "/x")
    assert not HttpEngine(Address(path)).answers()


def test_a_socket_file_without_a_service_is_no_service(path):
    with closing(socket.socket(socket.AF_UNIX)) as left_behind:
        left_behind.bind(str(path))
    with pytest.raises(ServiceGoneError, match="No service answers"):
        HttpEngine(Address(path)).request("GET", "/x")


def test_a_path_too_long_for_a_socket_is_no_service(tmp_path):
    with pytest.raises(ServiceGoneError, match="cannot be reached"):
        HttpEngine(Address(tmp_path / ("x" * 200))).request("GET", "/x")


def test_silence_ends(path):
    with pytest.raises(ServiceGoneError, match="silent for too long"):
        asked(path, lambda connection, number: None, timeout_s=0.2)


def test_a_connection_is_kept_and_made_anew_when_the_service_closed_it(path):
    def script(connection, number):
        connection.sendall(answer(b"%d" % number))
        if number == 1:
            connection.shutdown(socket.SHUT_RDWR)

    with scripted(path, script) as service, closing(HttpEngine(service.address)) as engine:
        assert [engine.request("GET", "/") for _ in range(2)] == [b"0", b"1"]
        assert service.n_connections == 1
        assert engine.request("GET", "/") == b"2"
        assert service.n_connections == 2


def test_a_connection_that_is_to_be_closed_is_not_used_again(path):
    said = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
    with scripted(path, saying(said)) as service, closing(HttpEngine(service.address)) as engine:
        engine.request("GET", "/")
        engine.request("GET", "/")
        assert service.n_connections == 2


def test_cancelling_closes_the_connection_so_that_the_service_stops(path):
    watch = Watch()
    begun = threading.Event()
    with (
        scripted(path, lambda *_: begun.set()) as service,
        closing(HttpEngine(service.address)) as engine,
    ):
        threading.Thread(target=lambda: (begun.wait(5), watch.cancelled.set())).start()
        with pytest.raises(TaskCancelledError):
            engine.embed(EmbedRequest("m", ["text"]), watch)
        assert service.left.wait(5)


def refusing(kind, status, retry_after_s=0.0, *, as_json=False):
    encoder = msgspec.json if as_json else msgspec.msgpack
    body = encoder.encode(ErrorAnswer(ErrorBody(kind, "It is so.", "Do that.", retry_after_s)))
    return saying(answer(body, status, "application/json" if as_json else "application/msgpack"))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("OverBudgetError", OverBudgetError),
        ("ServiceBusyError", ServiceBusyError),
        ("ServiceStoppingError", ServiceStoppingError),
        ("NotInThisVersionError", ServiceError),
        ("annotations", ServiceError),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_a_refusal_is_the_error_that_the_service_raised(path, kind, expected, as_json):
    with pytest.raises(expected, match=r"It is so\. Do that\."):
        asked(path, refusing(kind, 503, as_json=as_json))


def test_a_busy_service_says_when_to_come_back(path):
    with pytest.raises(ServiceBusyError) as caught:
        asked(path, refusing("ServiceBusyError", 429, 7.5))
    assert caught.value.retry_after_s == 7.5


def test_a_refusal_in_another_form_names_its_status(path):
    with pytest.raises(BadRequestError, match="status 418"):
        asked(path, saying(answer(b"I am a teapot", 418, "text/plain")))


def test_an_answer_of_another_version_is_refused(path):
    with (
        scripted(path, saying(answer(b"\xc0"))) as service,
        closing(HttpEngine(service.address)) as engine,
        pytest.raises(BadRequestError, match="same version"),
    ):
        engine.embed(EmbedRequest("m", ["text"]), Watch())


def test_the_key_is_sent_and_over_tcp_the_host(path):
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        seen = []

        def serve():
            connection, _ = listening.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(answer(b"ok"))

        serving = threading.Thread(target=serve)
        serving.start()
        port = listening.getsockname()[1]
        with closing(HttpEngine(Address(None, "127.0.0.1", port, api_key="key"))) as engine:
            assert engine.request("POST", "/x") == b"ok"
        serving.join()
    assert b"Authorization: Bearer key\r\n" in seen[0]
    assert b"Host: 127.0.0.1:%d\r\n" % port in seen[0]
    assert b"Content-Length: 0\r\n" in seen[0]


def test_a_forked_child_makes_connections_of_its_own(path):
    with (
        scripted(path, saying(answer(b"x"))) as service,
        closing(HttpEngine(service.address)) as engine,
    ):
        engine.request("GET", "/")
        (parents,) = engine._pool._idle
        engine._pool._process = -1  # as after a fork
        engine.request("GET", "/")
        assert service.n_connections == 2
        assert parents not in engine._pool._idle
        parents.close()


def test_addresses_are_shown_as_they_are_written():
    assert str(Address(None, "::1", 80)) == "http://[::1]:80"
    assert str(Address(None, "localhost", 80)) == "http://localhost:80"
    assert str(Address(Path("/run/s"))) == "/run/s"
