"""A network between a program and a server: it can be cut, held up and mended."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Wire:
    """Forwards connections to a port of its own, until told otherwise.

    Args:
        connect: Connects to the server.
    """

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._open = threading.Event()
        self._open.set()
        self._is_cut = False
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.n_connections = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self) -> None:
        """Break every connection, in the middle of whatever goes over it; let no new one in."""
        self._is_cut = True
        with self._lock:
            for end in self._ends:
                _shut(end)
            self._ends.clear()

    def hold(self) -> None:
        """Deliver nothing for a while, without breaking a connection."""
        self._open.clear()

    def mend(self) -> None:
        """Go on, and let new connections in."""
        self._is_cut = False
        self._open.set()

    def close(self) -> None:
        """Let go of all."""
        self._listener.close()
        self._open.set()
        self.cut()

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                near.close()
                continue
            self.n_connections += 1
            far = self._connect()
            with self._lock:
                self._ends |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._open.wait()
                sink.sendall(data)
        for end in (source, sink):
            _shut(end)
            end.close()
        with self._lock:
            self._ends -= {source, sink}


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
