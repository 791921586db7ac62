"""The http engine: texts go to embedwell's service, vectors come back.

It stands without numpy, so that a program that only passes requests on stays small.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TypeVar

import msgspec

from embedwell.core import errors
from embedwell.core.errors import (
    BadRequestError,
    EmbedwellError,
    ServiceBusyError,
    ServiceError,
    ServiceGoneError,
)
from embedwell.core.events import Watch
from embedwell.engines.connection import Address, Answer, BrokenAnswerError, Connection
from embedwell.engines.pool import Pool
from embedwell.engines.wire import (
    BINARY,
    EMBED_PATH,
    RERANK_PATH,
    TOKEN_STARTS_PATH,
    BinaryEmbedded,
    EmbedRequest,
    ErrorAnswer,
    RerankAnswer,
    RerankRequest,
    TokenStartsRequest,
)

__all__ = ["Address", "HttpEngine"]

Decoded = TypeVar("Decoded")


class HttpEngine:
    """Speaks to one service over kept-alive connections.

    Safe to call from several threads, and after a fork: a child makes connections of its own.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._pool = Pool(partial(Connection, address))

    def answers(self) -> bool:
        """Whether a service is there; wakes no model."""
        try:
            self.request("GET", "/health")
        except ServiceError:
            return False
        return True

    def embed(self, request: EmbedRequest, watch: Watch) -> BinaryEmbedded:
        """Have texts embedded.

        Raises:
            ServiceGoneError: No service answers, or it went away.
            ServiceBusyError: It has too much to do at the moment.
            TaskCancelledError: `watch` was asked to stop; the service stops as well.
            EmbedwellError: What the service refused it with.
        """
        return _decoded(self._post(EMBED_PATH, request, watch), BinaryEmbedded)

    def rerank(self, request: RerankRequest, watch: Watch) -> RerankAnswer:
        """Have texts ranked.

        Raises:
            EmbedwellError: As `embed` does.
        """
        return _decoded(self._post(RERANK_PATH, request, watch), RerankAnswer)

    def token_starts(self, request: TokenStartsRequest) -> bytes:
        """Offsets in code points of every token's first character.

        Returns:
            int64, little-endian.

        Raises:
            ServiceGoneError: No service answers, or it went away.
            EmbedwellError: What the service refused it with.
        """
        return self._post(TOKEN_STARTS_PATH, request, Watch())

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        kind: str = BINARY,
        watch: Watch | None = None,
    ) -> bytes:
        """Send one request; a connection that the service had closed meanwhile is made anew.

        Raises:
            ServiceGoneError: No service answers, or it went away.
            ServiceBusyError: It has too much to do at the moment.
            TaskCancelledError: `watch` was asked to stop; the service stops as well.
            EmbedwellError: What the service refused it with.
        """
        try:
            answer = self._pool.exchange(method, path, self._headers(kind), body, watch or Watch())
        except OSError as error:
            raise self._gone(error) from error
        if answer.status >= 400:
            raise _refusal(answer)
        return answer.body

    def close(self) -> None:
        """Close the connections; the next request makes new ones."""
        self._pool.close()

    def _post(self, path: str, request: msgspec.Struct, watch: Watch) -> bytes:
        return self.request("POST", path, msgspec.msgpack.encode(request), watch=watch)

    def _headers(self, kind: str) -> dict[str, str]:
        headers = {"Content-Type": kind, "Accept": kind}
        if self.address.api_key:
            headers["Authorization"] = f"Bearer {self.address.api_key}"
        return headers

    def _gone(self, error: OSError) -> ServiceError:
        if isinstance(error, BlockingIOError):  # nobody takes connections fast enough
            return ServiceBusyError(
                f"The service at {self.address} has too many connections waiting.",
                "Ask again in a second.",
            )
        if isinstance(error, TimeoutError):
            problem = f"The service at {self.address} was silent for too long."
        elif isinstance(error, FileNotFoundError | ConnectionRefusedError):
            problem = f"No service answers at {self.address}."
        elif isinstance(error, BrokenAnswerError | ConnectionError):
            problem = f"The service at {self.address} went away in the middle of a request."
        else:
            problem = f"The service at {self.address} cannot be reached ({error})."
        return ServiceGoneError(
            problem, "Start it with `embedwell serve`, or stay in-process with `service = off`."
        )


def _decoded(found: bytes, kind: type[Decoded]) -> Decoded:
    try:
        return msgspec.msgpack.decode(found, type=kind)
    except msgspec.MsgspecError as error:
        raise BadRequestError(
            f"The service gave an answer that is not understood ({error}).",
            "Run the same version of embedwell in both places.",
        ) from error


def _refusal(answer: Answer) -> EmbedwellError:
    """The error that the service raised, as one of our own class."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        decoder = msgspec.json if is_json else msgspec.msgpack
        error = decoder.decode(answer.body, type=ErrorAnswer).error
        kind = getattr(errors, error.type, None)
        if not (isinstance(kind, type) and issubclass(kind, EmbedwellError)):
            kind = ServiceError  # of a newer version
        if issubclass(kind, ServiceBusyError):
            return kind(error.problem, error.remedy, error.retry_after_s)
        made = kind.__new__(kind)  # classes differ in what they are made of
        EmbedwellError.__init__(made, error.problem, error.remedy)
        return made
    return BadRequestError(
        f"The service answered with status {answer.status}.",
        "Run the same version of embedwell in both places.",
    )
