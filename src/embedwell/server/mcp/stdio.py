"""The proxy on this process's standard input and output."""

from __future__ import annotations

import io
import os
import sys
from contextlib import closing, suppress
from pathlib import Path

from embedwell.app.config.configuration import load
from embedwell.app.embedding.connect import address
from embedwell.engines.http import HttpEngine
from embedwell.server.mcp.calls import Calls
from embedwell.server.mcp.proxy import Proxy


def serve(folder: Path, socket: Path | None) -> None:
    """Answer the client on standard input and output until it closes its end.

    Args:
        folder: The index that is meant where none is named.
        socket: Unix socket of the service, where it is not the settings'.

    Raises:
        SettingsError: A setting is wrong.
    """
    settings = load({"socket": socket}, folder).settings
    # What any code prints must not get among the messages.
    out = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lines = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace", newline="\n")
    with closing(HttpEngine(address(settings))) as engine:
        Proxy(Calls(settings, engine, folder).call, lambda line: _write(out, line.encode())).serve(
            lines
        )


def _write(descriptor: int, data: bytes) -> None:
    with suppress(BrokenPipeError):  # the client has gone; the end of its input says so too
        while data:
            data = data[os.write(descriptor, data) :]
