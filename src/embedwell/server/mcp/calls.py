"""Calls of tools as requests to the service, which is started when it is not there."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from embedwell.app.config.settings import Settings
from embedwell.core import errors
from embedwell.core.errors import (
    BadRequestError,
    EmbedwellError,
    ServiceBusyError,
    ServiceGoneError,
)
from embedwell.core.events import Watch
from embedwell.engines.http import HttpEngine
from embedwell.server import paths

_JSON = "application/json"
# How long a busy service is asked again before its refusal is passed on.
_PATIENCE_S = 30.0

# Method and path of the request that each tool makes.
_ROUTES = {
    "search": ("POST", paths.SEARCH),
    "get": ("GET", paths.PASSAGE),
    "status": ("GET", paths.STATUS),
    "reindex": ("POST", paths.REINDEX),
}


class Calls:
    """Makes the tools' requests. Safe to call from several threads.

    Args:
        settings: Where the service listens, and whether it may be started.
        engine: Speaks to it.
        folder: The index that is meant where none is named.
    """

    def __init__(self, settings: Settings, engine: HttpEngine, folder: Path) -> None:
        self._settings = settings
        self._engine = engine
        self._folder = folder.absolute()

    def call(self, tool: str, arguments: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
        """The structured answer of a tool.

        Raises:
            EmbedwellError: The service refused it, or cannot be had.
            TaskCancelledError: `watch` was asked to stop; the service stops as well.
        """
        method, path = _ROUTES[tool]
        given = dict(arguments) | {"index": self._index(arguments.get("index"))}
        if method == "GET":
            words = {name: value for name, value in given.items() if value is not None}
            found = self._patiently(
                method, f"{path}?{urlencode(words, errors='replace')}", b"", watch
            )
        else:
            found = self._patiently(method, path, json.dumps(given).encode(), watch)
        if tool == "reindex":
            return _report(found)
        answer: dict[str, Any] = json.loads(found)
        return answer

    def _index(self, named: object) -> str:
        """How the service is told which index is meant."""
        if named is not None and not isinstance(named, str):
            raise BadRequestError(f"`index` is {named!r}.", "Give the path of an indexed folder.")
        place = self._folder / named if named else self._folder
        # Over TCP only indexes that it serves may be named, by the name of their folder.
        return str(place) if self._engine.address.socket else place.name

    def _patiently(self, method: str, path: str, body: bytes, watch: Watch) -> bytes:
        """Ask again where the service is busy; start it, once, where it is not there."""
        until, may_start = time.monotonic() + _PATIENCE_S, self._settings.service != "require"
        while True:
            try:
                return self._engine.request(method, path, body, _JSON, watch)
            except ServiceGoneError:
                if not may_start:
                    raise
                may_start = False
                self._start(watch)
            except ServiceBusyError as busy:
                if time.monotonic() + busy.retry_after_s > until:
                    raise
                watch.cancelled.wait(busy.retry_after_s)
                watch.check("request")

    def _start(self, watch: Watch) -> None:
        from embedwell.app.embedding.launch import ensure_service  # noqa: PLC0415 - where none runs

        ensure_service(self._settings, self._engine, watch)


def _report(found: bytes) -> dict[str, Any]:
    """The last of the lines that reindexing gives."""
    last = json.loads(found.splitlines()[-1])
    if "report" in last:
        report: dict[str, Any] = last["report"]
        return report
    told = last["error"]
    kind = getattr(errors, told["type"], EmbedwellError)
    made = kind.__new__(kind)
    EmbedwellError.__init__(made, told["problem"], told["remedy"])
    raise made
