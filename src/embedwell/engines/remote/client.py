"""Asks one server: again where that may help, never for longer than the settings allow."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import quote, urlsplit

from embedwell.core.errors import (
    RemoteAnswerError,
    RemoteError,
    RemoteGoneError,
    RemoteSlowError,
    SettingsError,
)
from embedwell.core.events import Watch
from embedwell.engines.connection import Address, Answer, BrokenAnswerError, Connection
from embedwell.engines.pool import Pool
from embedwell.engines.remote.dial import dial
from embedwell.engines.remote.faults import fault_of, pause_s

_JSON = "application/json"
# What stands in a path as it is (RFC 3986), quoted already or not to be.
_PATH = "/%!$&'()*+,;=:@~"
# How long one request is asked again before its error is passed on.
_PATIENCE_S = 30.0
# 256 vectors of 4,096 numbers are 25 MB of JSON.
_MOST_BYTES = 128 << 20


@dataclass(frozen=True)
class Place:
    """Where a server is.

    Attributes:
        address: Name, port and key.
        prefix: Of all its paths.
    """

    address: Address
    prefix: str

    def __str__(self) -> str:
        return f"{self.address}{self.prefix}"


def place_of(url: str, api_key: str = "", timeout_s: float = 60.0) -> Place:
    """What an address such as `https://api.example.com/v1` says.

    Raises:
        SettingsError: It says nothing of the kind.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:
        host, port = "", None
    if not host or parts.scheme not in {"http", "https"} or parts.username is not None:
        raise SettingsError(
            "`remote_url` is no address of a server.",
            "Set it to one such as http://127.0.0.1:11434; a key belongs into `remote_api_key`.",
        )
    tls = parts.scheme == "https"
    prefix = quote(parts.path.rstrip("/"), _PATH)
    for known in ("/v1/embeddings", "/v1"):
        prefix = prefix.removesuffix(known)
    if port is None:
        port = 443 if tls else 80
    address = Address(None, host, port, api_key, timeout_s, tls, _MOST_BYTES)
    return Place(address, prefix)


class Client:
    """Speaks to one server over kept-alive connections. Safe to call from several threads.

    The key goes into a header alone: no message and no log has it.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._pool = Pool(partial(Connection, place.address, dial))

    def ask(
        self, method: str, path: str, body: bytes, watch: Watch, patience_s: float = _PATIENCE_S
    ) -> bytes:
        """Send one request; again, with growing pauses, while the server is away or busy.

        Raises:
            RemoteGoneError: No server answers.
            RemoteBusyError: It stays busy, or said that it will be for longer than this waits.
            RemoteSlowError: It took too long; that is not tried again.
            RemoteRefusedError: It refuses the request.
            RemoteAnswerError: What answers is no such server.
            RemoteError: It is not who it should be: its certificate is not trusted.
            TaskCancelledError: `watch` was asked to stop.
        """
        until, n_tries = time.monotonic() + patience_s, 0
        while True:
            try:
                return self._once(method, path, body, watch)
            except RemoteError as error:
                chance = random.random()  # noqa: S311 - against many coming back at once
                pause = pause_s(error, n_tries, chance)
                if pause is None or time.monotonic() + pause > until:
                    raise
            watch.cancelled.wait(pause)
            watch.check("embed")
            n_tries += 1

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _once(self, method: str, path: str, body: bytes, watch: Watch) -> bytes:
        try:
            answer = self._pool.exchange(
                method,
                f"{self.place.prefix}{path}",
                self._headers(),
                body,
                watch,
                timeout_s=self.place.address.timeout_s,
            )
        except OSError as error:
            raise self._fault(error) from error
        if answer.status != 200:
            raise fault_of(self._scrubbed(answer), str(self.place), path)
        packed = answer.headers.get("content-encoding", "identity").lower()
        if packed != "identity":
            raise RemoteAnswerError(
                f"The server at {self.place} compresses its answers ({packed}) where it was asked "
                "not to.",
                "Switch that off for JSON, in the server or in the proxy before it.",
            )
        return answer.body

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": _JSON, "Accept": _JSON, "Accept-Encoding": "identity"}
        headers["User-Agent"] = "embedwell"
        if self.place.address.api_key:
            headers["Authorization"] = f"Bearer {self.place.address.api_key}"
        return headers

    def _scrubbed(self, answer: Answer) -> Answer:
        """Without our key, which some servers repeat when they refuse it."""
        key = self.place.address.api_key.encode()
        return replace(answer, body=answer.body.replace(key, b"(key)")) if key else answer

    def _fault(self, error: OSError) -> RemoteError:
        place, told = self.place, error.strerror or str(error)
        if isinstance(error, TimeoutError):
            return RemoteSlowError(
                f"The server at {place} did not answer within {place.address.timeout_s:g} s.",
                "Raise `remote_timeout_s`, or see what keeps the server.",
            )
        if isinstance(error, BrokenAnswerError):
            return RemoteAnswerError(
                f"What answers at {place} is not usable: {told}.", "Check `remote_url`."
            )
        if why := getattr(error, "verify_message", ""):  # of `ssl`, which is loaded late
            return RemoteError(
                f"The certificate of the server at {place} is not trusted: {why}.",
                "Name the file of whoever signed it in `SSL_CERT_FILE`, or check `remote_url`.",
            )
        if why := getattr(error, "reason", ""):  # the same
            return RemoteError(
                f"What answers at {place} does not speak TLS as it must: {why}.",
                "Check whether `remote_url` must begin with http.",
            )
        if isinstance(error, ConnectionResetError | BrokenPipeError):
            return RemoteGoneError(
                f"The server at {place} went away in the middle of a request: {told}.",
                "See the server's log, and whether `remote_url` must begin with https.",
            )
        return RemoteGoneError(
            f"No server answers at {place}: {told}.",
            "Start it, check `remote_url`, or embed here with `engine = onnx`.",
        )
