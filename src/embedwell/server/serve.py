"""Listen on the Unix socket and on TCP until told to stop."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

import uvicorn

from embedwell.app.settings import Settings
from embedwell.server.application import application
from embedwell.server.service import Service


def serve(settings: Settings) -> None:
    """Run the service in this process until SIGTERM or Ctrl-C."""
    service = Service(settings)
    config = uvicorn.Config(application(service), log_level="warning", lifespan="off")
    listening = [_unix(settings.socket or settings.cache / "service.sock")]
    if settings.port:
        listening.append(_tcp(settings.host, settings.port))
    try:
        uvicorn.Server(config).run(sockets=listening)
    finally:
        service.close()


def _unix(path: Path) -> socket.socket:
    with suppress(FileNotFoundError):
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    path.chmod(0o600)
    return listening


def _tcp(host: str, port: int) -> socket.socket:
    listening = socket.create_server((host, port))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
