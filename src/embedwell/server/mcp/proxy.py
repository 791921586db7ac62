"""The proxy: messages in, tools called in threads of their own, answers out."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from embedwell import __version__
from embedwell.core.errors import BadRequestError, EmbedwellError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.server.mcp import wire
from embedwell.server.mcp.text import TEXTS
from embedwell.server.mcp.tools import BY_NAME, TOOLS
from embedwell.server.mcp.wire import Id, Message

# Clients that leave want no more answers; what runs is asked to stop, and waited for this long.
_LEAVE_S = 2.0
_INSTRUCTIONS = (
    "Search the user's indexed folder (texts and code) by meaning. `search` gives passages with "
    "path and lines, `get` reads on around one, `status` tells what is stale, `reindex` brings "
    "the index up to date."
)


class CallTool(Protocol):
    """What calls a tool."""

    def __call__(self, tool: str, arguments: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
        """The tool's structured answer; raises `EmbedwellError`."""
        ...


class Proxy:
    """Answers one client.

    Args:
        call: Calls a tool.
        write: Sends a line; is called from several threads, one at a time.
    """

    def __init__(self, call: CallTool, write: Callable[[str], object]) -> None:
        self._call = call
        self._write = write
        self._lock = threading.Lock()
        self._running: dict[Id, tuple[Watch, threading.Thread]] = {}

    def serve(self, lines: Iterable[str]) -> None:
        """Answer until the client closes its end; what then runs is stopped."""
        for line in lines:
            if line.strip():
                self._take(line)
        with self._lock:
            running = list(self._running.values())
        for watch, _ in running:
            watch.cancelled.set()
        for _, thread in running:
            thread.join(_LEAVE_S)

    def _take(self, line: str) -> None:
        try:
            messages = wire.parse(line)
        except (ValueError, RecursionError):
            self._send(wire.error(None, wire.PARSE_ERROR, "The line is not JSON."))
            return
        for message in messages:
            if message is None:
                self._send(wire.error(None, wire.INVALID_REQUEST, "A message is a JSON object."))
            else:
                self._handle(message)

    def _handle(self, message: Message) -> None:
        method, number = message.get("method"), message.get("id")
        params = message.get("params") or {}
        if method is None and ("result" in message or "error" in message):
            return  # we ask clients nothing, so that this answers nothing
        if number is None and isinstance(method, str):
            if method == "notifications/cancelled" and isinstance(params, dict):
                self._cancel(params.get("requestId"))
            return
        if isinstance(number, bool) or not isinstance(number, str | int):
            self._send(wire.error(None, wire.INVALID_REQUEST, "`id` is a text or a whole number."))
        elif not isinstance(method, str) or not isinstance(params, dict):
            self._send(wire.error(number, wire.INVALID_REQUEST, "`method` or `params` is wrong."))
        else:
            self._answer(number, method, params)

    def _answer(self, number: Id, method: str, params: Message) -> None:
        if method == "initialize":
            self._send(wire.answer(number, _introduction(params)))
        elif method == "ping":
            self._send(wire.answer(number, {}))
        elif method == "tools/list":
            self._send(wire.answer(number, {"tools": [tool.listed() for tool in TOOLS]}))
        elif method == "tools/call":
            self._begin(number, params)
        else:
            self._send(wire.error(number, wire.METHOD_NOT_FOUND, f"There is no method '{method}'."))

    def _begin(self, number: Id, params: Message) -> None:
        """Call a tool in a thread of its own."""
        name, arguments = params.get("name"), params.get("arguments") or {}
        if not isinstance(name, str) or name not in BY_NAME or not isinstance(arguments, dict):
            problem = f"There is no tool '{name}'; there are: {', '.join(BY_NAME)}."
            self._send(wire.error(number, wire.INVALID_PARAMS, problem))
            return
        watch = Watch()
        thread = threading.Thread(
            target=self._run, args=(number, name, arguments, watch), daemon=True
        )
        with self._lock:
            if number in self._running:
                is_double = True
            else:
                is_double = False
                self._running[number] = watch, thread
        if is_double:
            problem = f"The request {number!r} is still being answered."
            self._send(wire.error(number, wire.INVALID_REQUEST, problem))
        else:
            thread.start()

    def _run(self, number: Id, name: str, arguments: Message, watch: Watch) -> None:
        try:
            answer = wire.answer(number, self._result(name, arguments, watch))
        except TaskCancelledError:  # whoever cancels wants no answer
            answer = None
        except Exception as error:  # noqa: BLE001 - told to the client, by tool
            problem = f"{name} met an error that it does not know ({error!r})."
            sys.stderr.write(f"embedwell mcp: {problem}\n")
            answer = wire.error(number, wire.INTERNAL_ERROR, problem)
        with self._lock:
            del self._running[number]
        if answer is not None and not watch.cancelled.is_set():
            self._send(answer)

    def _result(self, name: str, arguments: Message, watch: Watch) -> Message:
        try:
            unknown = arguments.keys() - BY_NAME[name].arguments.keys()
            if unknown:
                raise BadRequestError(
                    f"{name} has no argument '{min(unknown)}'.",
                    f"It takes: {', '.join(BY_NAME[name].arguments)}.",
                )
            found = self._call(name, arguments, watch)
        except TaskCancelledError:
            raise
        except EmbedwellError as error:
            told = {"type": "text", "text": f"{error.problem} {error.remedy}"}
            return {"content": [told], "isError": True}
        text = {"type": "text", "text": TEXTS[name](found)}
        return {"content": [text], "structuredContent": found, "isError": False}

    def _cancel(self, number: object) -> None:
        with self._lock:
            running = self._running.get(number) if isinstance(number, str | int) else None
        if running is not None:
            running[0].cancelled.set()

    def _send(self, message: Message) -> None:
        with self._lock:
            self._write(wire.encode(message))


def _introduction(params: Message) -> Message:
    return {
        "protocolVersion": wire.version_for(params.get("protocolVersion")),
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": "embedwell", "title": "embedwell", "version": __version__},
        "instructions": _INSTRUCTIONS,
    }
