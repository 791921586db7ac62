"""Kept-alive connections to one address, taken by one thread at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping

from embedwell.core.events import Watch
from embedwell.engines.connection import Answer, Connection


class Pool:
    """Connections that are idle, and new ones where none is.

    Safe to call from several threads, and after a fork: a child makes connections of its own.

    Args:
        make: Gives a connection that was not used yet.
    """

    def __init__(self, make: Callable[[], Connection]) -> None:
        self._make = make
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._process = os.getpid()

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
        """Send one request; a connection that the other end had closed meanwhile is made anew.

        Args:
            method: Of HTTP.
            path: What is asked for.
            headers: By name.
            body: May be empty.
            watch: Asked to stop, it closes the connection.
            timeout_s: Longest time of the whole exchange, where it has one.

        Raises:
            OSError: Nobody answers, or the connection broke or was silent for too long.
            TaskCancelledError: `watch` was asked to stop.
        """
        while True:
            connection = self._take()
            try:
                answer = connection.exchange(
                    method, path, headers, body, watch, timeout_s=timeout_s
                )
            except OSError as error:
                connection.close()
                fresh = connection.is_new or connection.n_received
                if fresh or isinstance(error, TimeoutError):
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                self._put_back(connection)
                return answer

    def close(self) -> None:
        """Close the connections; the next request makes new ones."""
        self._own()
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _take(self) -> Connection:
        self._own()
        with self._lock:
            return self._idle.pop() if self._idle else self._make()

    def _put_back(self, connection: Connection) -> None:
        if not connection.is_open:
            connection.close()
            return
        with self._lock:
            self._idle.append(connection)

    def _own(self) -> None:
        """In a forked child, leave the connections (and the lock) to the parent."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._lock = threading.Lock()
            self._idle = []
