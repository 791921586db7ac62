"""Connect to a server anywhere, over TLS where its address says so."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import Future, wait
from functools import cache
from typing import TYPE_CHECKING

from embedwell.core.events import Watch
from embedwell.engines.connection import Address

if TYPE_CHECKING:
    import ssl

_CONNECT_S = 10.0
_LOOK_EVERY_S = 0.1


def dial(address: Address, watch: Watch) -> socket.socket:
    """A connected socket.

    Looking a name up cannot be interrupted: a thread does it, which is left alone when nobody
    waits for it any more.

    Raises:
        OSError: Nobody answers there, or its certificate is not good.
        TaskCancelledError: `watch` was asked to stop.
    """
    made: Future[socket.socket] = Future()

    def connect() -> None:
        try:
            made.set_result(_connected(address))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for it
            made.set_exception(error)

    threading.Thread(target=connect, name="embedwell connect", daemon=True).start()
    while not wait((made,), timeout=_LOOK_EVERY_S).done:
        if watch.cancelled.is_set():
            made.add_done_callback(_close)
        watch.check("connect")
    return made.result()


def _connected(address: Address) -> socket.socket:
    timeout_s = min(_CONNECT_S, address.timeout_s)
    try:
        made = socket.create_connection((address.host, address.port), timeout_s)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.tls:
                return _trust().wrap_socket(made, server_hostname=address.host)
        except BaseException:
            made.close()
            raise
    except TimeoutError:
        raise ConnectionError(f"no connection within {timeout_s:g} s") from None
    return made


@cache
def _trust() -> ssl.SSLContext:
    """The system's certificates, or those that OpenSSL's own variables name."""
    import ssl  # noqa: PLC0415 - 7 MB, for servers with TLS alone

    return ssl.create_default_context()


def _close(made: Future[socket.socket]) -> None:
    if made.exception() is None:
        made.result().close()
