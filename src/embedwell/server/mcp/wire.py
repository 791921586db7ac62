"""JSON-RPC 2.0 as the Model Context Protocol uses it: one message a line.

Source: https://modelcontextprotocol.io/specification/2025-11-25 (base protocol, lifecycle, tools).
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
Id: TypeAlias = str | int

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Versions of the protocol that begin with `initialize`, the newest last."""


def parse(line: str) -> list[Message | None]:
    """The messages of a line; None for what is no message. A batch (2025-03-26) has several.

    Raises:
        ValueError: The line is not JSON.
    """
    found = json.loads(line)
    if isinstance(found, list) and found:
        return [one if isinstance(one, dict) else None for one in found]
    return [found if isinstance(found, dict) else None]


def encode(message: Message) -> str:
    """A message as one line."""
    return json.dumps(message, ensure_ascii=True, separators=(",", ":")) + "\n"


def answer(number: Id, result: Message) -> Message:
    """The answer to a request."""
    return {"jsonrpc": "2.0", "id": number, "result": result}


def error(number: Id | None, code: int, message: str) -> Message:
    """What a request gets that cannot be answered."""
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}


def version_for(asked: object) -> str:
    """The version to speak: the one asked for where it is known, else the newest."""
    return asked if isinstance(asked, str) and asked in VERSIONS else VERSIONS[-1]
