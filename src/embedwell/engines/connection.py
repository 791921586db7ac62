"""One kept-alive HTTP/1.1 connection to a service of this machine.

The standard library's client was measured at 6 MB a process (it brings TLS and the parser of
mails), which is a quarter of a process that embeds through the service. The service answers with
plain lengths, and no proxy is ever in between, so that this much of the protocol is enough.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from embedwell.core.events import Watch

_CONNECT_S = 2.0
# How often a wish to stop is looked for while the service is silent.
_SLICE_S = 0.1
_BLOCK_BYTES = 1 << 16
_MAX_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class Address:
    """Where a service listens.

    Attributes:
        socket: Its Unix socket; None to use TCP.
        host: Its name or number.
        port: Its TCP port.
        api_key: Sent to it over TCP.
        timeout_s: Longest silence of a request.
        tls: Whether it is spoken to over TLS.
        most_bytes: Of one answer; a larger one is refused.
    """

    socket: Path | None
    host: str = "127.0.0.1"
    port: int = 0
    api_key: str = field(default="", repr=False)
    timeout_s: float = 300.0
    tls: bool = False
    most_bytes: int = 1 << 32

    @property
    def place(self) -> str:
        """Name and port, as the header `Host` has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.tls and self.port == 443 else f"{host}:{self.port}"

    def __str__(self) -> str:
        if self.socket:
            return str(self.socket)
        return f"{'https' if self.tls else 'http'}://{self.place}"


@dataclass(frozen=True)
class Answer:
    """What a service answered.

    Attributes:
        status: HTTP status.
        headers: By name in lower case.
        body: All of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class BrokenAnswerError(OSError):
    """What came is not HTTP, or too long."""


Dial: TypeAlias = Callable[[Address, Watch], socket.socket]
"""Makes a connected socket.

Raises:
    OSError: Nobody answers there.
    TaskCancelledError: The watch was asked to stop.
"""


class Connection:
    """Sends one request after the other; connects at the first. Belongs to one thread at a time.

    Attributes:
        is_new: Whether nothing was ever answered on it.
        is_open: Whether another request may be sent on it.
        n_received: Bytes of the present answer that have come.
    """

    def __init__(self, address: Address, dial: Dial | None = None) -> None:
        self._socket: socket.socket | None = None
        self._address = address
        self._dial = dial or _connected
        self._buffer = bytearray()
        self._until = float("inf")
        self.is_new = True
        self.is_open = True
        self.n_received = 0

    def __del__(self) -> None:
        self.close()  # programs may drop an embedder without closing it

    def exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        watch: Watch,
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send a request and wait for the whole answer, for `timeout_s` in all at most.

        Raises:
            OSError: The service is not there, went away, or was silent for too long.
            TaskCancelledError: `watch` was asked to stop; close the connection then.
        """
        self.n_received = 0
        self._until = time.monotonic() + timeout_s if timeout_s else float("inf")
        self._send(method, path, headers, body, watch)
        status, found = self._head(watch)
        answer = Answer(status, found, self._body(status, found, watch))
        self.is_new = False
        self.is_open = self.is_open and found.get("connection", "").lower() != "close"
        return answer

    def close(self) -> None:
        """End the connection; a service that still works on a request of it stops."""
        self.is_open = False
        if self._socket is not None:
            self._socket.close()

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, watch: Watch
    ) -> None:
        made = self._socket = self._socket or self._dial(self._address, watch)
        host = "localhost" if self._address.socket else self._address.place
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        made.settimeout(_SLICE_S)
        rest = memoryview("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        silent_from = time.monotonic()
        while rest:
            watch.check("request")
            try:
                rest = rest[made.send(rest[:_BLOCK_BYTES]) :]
                silent_from = time.monotonic()
            except TimeoutError:
                if self._is_late(silent_from):
                    raise

    def _head(self, watch: Watch) -> tuple[int, dict[str, str]]:
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end >= 0:
                lines = self._take(end + 4)[:-4].decode("latin-1").split("\r\n")
                status = _status(lines[0])
                if status >= 200:  # 100 says only that the body may be sent
                    pairs = (line.partition(":") for line in lines[1:])
                    return status, {name.lower(): value.strip() for name, _, value in pairs}
            elif len(self._buffer) > _MAX_HEAD_BYTES or not self._receive(watch):
                raise ConnectionResetError("the connection ended before an answer")

    def _body(self, status: int, headers: Mapping[str, str], watch: Watch) -> bytes:
        if status in {204, 304}:
            return b""
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunks(watch)
        if "content-length" in headers:
            return self._exactly(_number(headers["content-length"], 10), watch)
        self.is_open = False  # such an answer ends with its connection
        while self._receive(watch):
            self._check_size(len(self._buffer))
        return self._take(len(self._buffer))

    def _chunks(self, watch: Watch) -> bytes:
        parts, n_bytes = [], 0
        while size := _number(self._line(watch).partition(";")[0], 16):
            n_bytes += size
            self._check_size(n_bytes)
            parts.append(self._exactly(size, watch))
            self._line(watch)
        while self._line(watch):  # trailers
            pass
        return b"".join(parts)

    def _line(self, watch: Watch) -> str:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _MAX_HEAD_BYTES or not self._receive(watch):
                raise ConnectionResetError("the connection ended within an answer")
        return self._take(end + 2)[:-2].decode("latin-1")

    def _check_size(self, n_bytes: int) -> None:
        if n_bytes > self._address.most_bytes:
            raise BrokenAnswerError(f"it answers with more than {self._address.most_bytes:,} bytes")

    def _exactly(self, n_bytes: int, watch: Watch) -> bytes:
        self._check_size(n_bytes)
        while len(self._buffer) < n_bytes:
            if not self._receive(watch):
                raise ConnectionResetError("the connection ended within an answer")
        return self._take(n_bytes)

    def _take(self, n_bytes: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:n_bytes])
        del self._buffer[:n_bytes]
        return taken

    def _receive(self, watch: Watch) -> bool:
        """Wait for more; false at the end of the connection."""
        if self._socket is None:
            return False
        silent_from = time.monotonic()
        while True:
            watch.check("request")
            if time.monotonic() > self._until:
                raise TimeoutError("it takes too long")
            try:
                found = self._socket.recv(_BLOCK_BYTES)
            except TimeoutError:
                if self._is_late(silent_from):
                    raise
                continue
            self._buffer += found
            self.n_received += len(found)
            return bool(found)

    def _is_late(self, silent_from: float) -> bool:
        """Whether the silence, or the whole exchange, has lasted too long."""
        now = time.monotonic()
        return now > min(silent_from + self._address.timeout_s, self._until)


def _connected(address: Address, watch: Watch) -> socket.socket:
    del watch  # whoever listens on this machine answers at once
    if address.socket is None:
        made = socket.create_connection((address.host, address.port), _CONNECT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(_CONNECT_S)
        made.connect(str(address.socket))
    except BaseException:
        made.close()
        raise
    return made


def _status(line: str) -> int:
    version, _, rest = line.partition(" ")
    if not version.startswith("HTTP/1."):
        raise BrokenAnswerError("what answers does not speak HTTP")
    return _number(rest[:3], 10)


def _number(text: str, base: int) -> int:
    try:
        number = int(text.strip(), base)
    except ValueError:
        number = -1
    if number < 0:
        raise BrokenAnswerError("what answers does not speak HTTP")
    return number
