"""The http engine: texts go to embedwell's service, vectors come back."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from embedwell.core import errors
from embedwell.core.errors import (
    BadRequestError,
    EmbedwellError,
    ServiceBusyError,
    ServiceError,
    ServiceGoneError,
)
from embedwell.core.vectors import IntArray
from embedwell.engines.wire import (
    BINARY,
    EMBED_PATH,
    TOKEN_STARTS_PATH,
    BinaryEmbedded,
    EmbedRequest,
    ErrorAnswer,
    TokenStartsRequest,
)

_CONNECT_S = 2.0
_GONE = (OSError, http.client.HTTPException)
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Address:
    """Where a service listens.

    Attributes:
        socket: Its Unix socket; None to use TCP.
        host: Its name or number.
        port: Its TCP port.
        api_key: Sent to it over TCP.
        timeout_s: Longest silence of a request.
    """

    socket: Path | None
    host: str = "127.0.0.1"
    port: int = 0
    api_key: str = ""
    timeout_s: float = 300.0

    def __str__(self) -> str:
        return str(self.socket) if self.socket else f"http://{self.host}:{self.port}"


class HttpEngine:
    """Speaks to one service over kept-alive connections. Safe to call from several threads."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def answers(self) -> bool:
        """Whether a service is there; wakes no model."""
        try:
            self.request("GET", "/health")
        except ServiceError:
            return False
        return True

    def embed(self, request: EmbedRequest) -> BinaryEmbedded:
        """Have texts embedded.

        Raises:
            ServiceGoneError: No service answers, or it went away.
            ServiceBusyError: It has too much to do at the moment.
            EmbedwellError: What the service refused it with.
        """
        return _decoded(self._post(EMBED_PATH, request), BinaryEmbedded)

    def token_starts(self, request: TokenStartsRequest) -> IntArray:
        """Offsets in code points of every token's first character.

        Raises:
            ServiceGoneError: No service answers, or it went away.
            EmbedwellError: What the service refused it with.
        """
        found = self._post(TOKEN_STARTS_PATH, request)
        return np.frombuffer(found, dtype="<i8").astype(np.int64)

    def request(self, method: str, path: str, body: bytes = b"", kind: str = BINARY) -> bytes:
        """Send one request; a connection that the service had closed meanwhile is made anew.

        Raises:
            ServiceGoneError: No service answers, or it went away.
            ServiceBusyError: It has too much to do at the moment.
            EmbedwellError: What the service refused it with.
        """
        while True:
            connection, is_new = self._take()
            try:
                connection.request(method, path, body or None, self._headers(kind))
                response = connection.getresponse()
                found = response.read()
            except _GONE as error:
                connection.close()
                if is_new or isinstance(error, TimeoutError):
                    raise self._gone(error) from error
                continue
            if response.will_close:
                connection.close()
            else:
                with self._lock:
                    self._idle.append(connection)
            if response.status >= http.client.BAD_REQUEST:
                raise _refusal(response.status, found)
            return found

    def close(self) -> None:
        """Close the connections; the next request makes new ones."""
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _post(self, path: str, request: msgspec.Struct) -> bytes:
        return self.request("POST", path, msgspec.msgpack.encode(request))

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), False
        return _Connection(self.address), True

    def _headers(self, kind: str) -> dict[str, str]:
        headers = {"Content-Type": kind, "Accept": kind}
        if self.address.api_key:
            headers["Authorization"] = f"Bearer {self.address.api_key}"
        return headers

    def _gone(self, error: Exception) -> ServiceGoneError:
        if isinstance(error, TimeoutError):
            problem = f"The service at {self.address} was silent for {self.address.timeout_s:g} s."
        elif isinstance(error, FileNotFoundError | ConnectionRefusedError):
            problem = f"No service answers at {self.address}."
        else:
            problem = f"The service at {self.address} went away in the middle of a request."
        return ServiceGoneError(
            problem, "Start it with `embedwell serve`, or stay in-process with `service = off`."
        )


class _Connection(http.client.HTTPConnection):
    """HTTP over TCP, or over a Unix socket where the address has one."""

    def __init__(self, address: Address) -> None:
        super().__init__(address.host if address.port else "localhost", address.port or None)
        self._address = address

    def connect(self) -> None:
        if self._address.socket is None:
            self.sock = socket.create_connection(
                (self._address.host, self._address.port), _CONNECT_S
            )
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(_CONNECT_S)
            self.sock.connect(str(self._address.socket))
        self.sock.settimeout(self._address.timeout_s)


def _decoded(found: bytes, kind: type[Answer]) -> Answer:
    try:
        return msgspec.msgpack.decode(found, type=kind)
    except msgspec.MsgspecError as error:
        raise BadRequestError(
            f"The service gave an answer that is not understood ({error}).",
            "Run the same version of embedwell in both places.",
        ) from error


def _refusal(status: int, found: bytes) -> EmbedwellError:
    """The error that the service raised, as one of our own class."""
    with suppress(msgspec.MsgspecError):
        error = msgspec.msgpack.decode(found, type=ErrorAnswer).error
        kind = getattr(errors, error.type, ServiceError)
        if kind is ServiceBusyError:
            return ServiceBusyError(error.problem, error.remedy, error.retry_after_s)
        if isinstance(kind, type) and issubclass(kind, EmbedwellError):
            made = kind.__new__(kind)
            EmbedwellError.__init__(made, error.problem, error.remedy)
            return made
    return BadRequestError(
        f"The service answered with status {status}.",
        "Run the same version of embedwell in both places.",
    )
