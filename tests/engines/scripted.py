"""A service that answers what a test tells it to, byte by byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from embedwell.engines.http import Address

Script = Callable[[socket.socket, int], None]
"""Given the connection and the number of the request (from 0), after that was read."""


@dataclass
class Scripted:
    """What came in.

    Attributes:
        address: Where it listens.
        requests: Every request as it was sent.
        n_connections: How many were made.
        left: Set when a client closed its connection.
    """

    address: Address
    requests: list[bytes] = field(default_factory=list)
    n_connections: int = 0
    left: threading.Event = field(default_factory=threading.Event)


def answer(body: bytes, status: int = 200, kind: str = "application/msgpack") -> bytes:
    """A whole answer."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def saying(*answers: bytes) -> Script:
    """Send these one after the other, the last one for ever."""

    def script(connection: socket.socket, number: int) -> None:
        connection.sendall(answers[min(number, len(answers) - 1)])

    return script


@contextmanager
def scripted(path: Path, script: Script, timeout_s: float = 5.0) -> Iterator[Scripted]:
    """Listen at a Unix socket and follow the script for every request."""
    found = Scripted(Address(path, timeout_s=timeout_s))
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    listening.listen()
    open_ones: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            found.n_connections += 1
            open_ones.append(connection)
            threading.Thread(target=follow, args=(connection,), daemon=True).start()

    def follow(connection: socket.socket) -> None:
        try:
            while request := _request(connection):
                found.requests.append(request)
                script(connection, len(found.requests) - 1)
        except OSError:
            pass
        found.left.set()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield found
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join(5)
        for connection in open_ones:
            connection.close()
        path.unlink(missing_ok=True)


def _request(connection: socket.socket) -> bytes:
    found = b""
    while b"\r\n\r\n" not in found:
        more = connection.recv(65536)
        if not more:
            return b""
        found += more
    head, _, body = found.partition(b"\r\n\r\n")
    size = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            size = int(line.partition(b":")[2])
    while len(body) < size:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
