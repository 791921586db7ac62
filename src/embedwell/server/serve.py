"""Listen on the Unix socket and on TCP until told to stop."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from types import FrameType

import uvicorn

from embedwell.app.config.settings import Settings
from embedwell.core.errors import EmbedwellError, ServiceStartError
from embedwell.core.events import Watch
from embedwell.server.application import application
from embedwell.server.shared.logs import log_to_stderr, logger
from embedwell.server.shared.security import check_exposure
from embedwell.server.shared.service import Service
from embedwell.server.sockets import has_unix, listening, socket_path

_DRAIN_S = 10
_CHECK_S = 1.0


def serve(
    settings: Settings, *, exit_when_idle_s: float | None = None, log_json: bool = False
) -> None:
    """Run the service in this process until SIGTERM or Ctrl-C, and finish what it has.

    Args:
        settings: What the user chose.
        exit_when_idle_s: Leave after so many seconds without a request; None to stay.
        log_json: Write the log as lines of JSON.

    Raises:
        ServiceStartError: A service is there already, or an address is taken or not allowed.
    """
    check_exposure(settings)
    if not settings.port and not has_unix():
        raise ServiceStartError(
            "`port` is 0, and this system has no Unix sockets.", "Set `port`, such as 8437."
        )
    log_to_stderr(as_json=log_json)
    with listening(settings) as sockets:
        service = Service(settings)
        config = uvicorn.Config(
            application(service),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_DRAIN_S,
        )
        server = _Server(config, service)
        stop = threading.Event()
        clock = threading.Thread(
            target=_tend, args=(service, server, stop, exit_when_idle_s), name="clock", daemon=True
        )
        preloading = threading.Thread(
            target=_preload, args=(service, Watch(cancelled=stop)), name="preload", daemon=True
        )
        with suppress(OSError):  # a log on a full disk is no reason to serve nobody
            sys.stderr.write(f"embedwell serves at {_places(settings)}\n")
            sys.stderr.flush()
        clock.start()
        preloading.start()
        try:
            server.run(sockets=sockets)
        finally:
            stop.set()
            clock.join()
            preloading.join()
            service.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which finishes what it has and then exits with 0."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal; leave at once at the second."""
        del sig, frame
        self.force_exit = self.should_exit
        self.should_exit = True
        self._service.drain()


def _tend(
    service: Service, server: _Server, stop: threading.Event, exit_when_idle_s: float | None
) -> None:
    """Every second: sample memory, unload what is idle, leave when nobody asked for long enough."""
    while not stop.wait(_CHECK_S):
        service.monitor.sample()
        try:
            service.runtime.check_idle()
            service.indexes.check_idle()
        except EmbedwellError as error:
            logger.warning("idle models could not be unloaded: %s", error)
        idle_s = 0.0 if service.n_open else time.monotonic() - service.used_at
        if exit_when_idle_s is not None and idle_s > exit_when_idle_s:
            service.drain()
            server.should_exit = True


def _preload(service: Service, watch: Watch) -> None:
    """Load what the settings name; the service answers meanwhile, and `/ready` waits for it."""
    pinned = service.settings.pinned
    for model in dict.fromkeys((*pinned, *service.settings.preload)):
        try:
            service.runtime.load(model, watch, pinned=model in pinned)
        except EmbedwellError as error:
            if watch.cancelled.is_set():
                return
            logger.error("%s could not be loaded at the start: %s", model, error)
    service.is_ready = True


def _places(settings: Settings) -> str:
    places = [str(socket_path(settings))] if has_unix() else []
    if settings.port:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        places.append(f"http://{host}:{settings.port}")
    return " and ".join(places)
