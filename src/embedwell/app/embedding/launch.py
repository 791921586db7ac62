"""Start the machine's service when it is needed and not there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

from embedwell.app.config.configuration import environment_for
from embedwell.app.config.settings import Settings
from embedwell.core.errors import ServiceStartError, StoreBusyError
from embedwell.core.events import Watch
from embedwell.engines.http import HttpEngine
from embedwell.stores.lock import locked

LOG = "service.log"
# A service that was started on demand leaves when nobody has asked anything for so long.
_IDLE_S = 900
_PATIENCE_S = 15.0
# One that ends at once may have lost against another that is about to answer.
_GRACE_S = 1.0
_LOOK_EVERY_S = 0.02
_MAX_LOG_BYTES = 1 << 20
_SHOWN_LINES = 8


def ensure_service(settings: Settings, engine: HttpEngine, watch: Watch) -> None:
    """Start the service unless it answers, and wait until it does.

    However many processes call this at once, one of them starts it and all wait for it.

    Raises:
        ServiceStartError: It did not answer in time; the message has the end of its log.
        TaskCancelledError: `watch` was asked to stop.
    """
    until = time.monotonic() + _PATIENCE_S
    _make_folder(settings.cache)
    while not engine.answers():
        try:
            with locked(settings.cache / "service.starting.lock", "starting the service"):
                if not engine.answers():
                    _start(settings, engine, until, watch)
        except StoreBusyError as error:  # another one starts it
            if time.monotonic() > until:
                raise _not_started(settings, 0, "another process was starting it") from error
            _pause(watch)


def _start(settings: Settings, engine: HttpEngine, until: float, watch: Watch) -> None:
    log = settings.cache / LOG
    begun_at = _log_size(log)
    process = _spawn(settings, log)
    # Whoever has a child must reap it once it ends, however long that takes.
    reaping = threading.Thread(target=process.wait, name="embedwell service", daemon=True)
    reaping.start()
    ended_at: float | None = None
    while not engine.answers():
        now = time.monotonic()
        if ended_at is None and not reaping.is_alive():
            ended_at = now
        if ended_at is not None and now > ended_at + _GRACE_S:
            raise _not_started(settings, begun_at, f"it ended with code {process.returncode}")
        if now > until:
            raise _not_started(settings, begun_at, f"it did not answer for {_PATIENCE_S:g} s")
        _pause(watch)


def _spawn(settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    """The service, detached from this process and its terminal.

    It runs in the cache folder, and with -P, so that nothing that lies in the working directory
    (a project's settings, a module called `numpy`) gets into it.
    """
    command = [sys.executable, "-P", "-m", "embedwell.cli.main", "serve"]
    with _opened(log) as stderr:
        return subprocess.Popen(  # noqa: S603 - our own program
            [*command, "--exit-when-idle", str(_IDLE_S)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=settings.cache,
            env=environment_for(settings),
            start_new_session=True,  # means nothing on Windows, where this does the same:
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )


def _opened(log: Path) -> BinaryIO:
    try:
        return log.open("ab")
    except OSError as error:
        raise ServiceStartError(
            f"The service cannot be started: its log {log} cannot be written ({error.strerror}).",
            "Remove the log, or set `cache` to a folder that you may write to.",
        ) from error


def _log_size(log: Path) -> int:
    """Where the log ends now; one that has grown too large begins anew."""
    size = log.stat().st_size if log.exists() else 0
    if size > _MAX_LOG_BYTES:
        os.truncate(log, 0)
        return 0
    return size


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceStartError(
            f"The service cannot be started: {folder} cannot be made ({error.strerror}).",
            "Set `cache` to a folder that you may write to.",
        ) from error


def _pause(watch: Watch) -> None:
    watch.cancelled.wait(_LOOK_EVERY_S)
    watch.check("start the service")


def _not_started(settings: Settings, begun_at: int, reason: str) -> ServiceStartError:
    log = settings.cache / LOG
    with log.open("rb") as file:
        file.seek(begun_at)
        said = file.read().decode("utf-8", "replace").strip().splitlines()[-_SHOWN_LINES:]
    shown = "".join(f"\n  | {line}" for line in said) or " nothing"
    return ServiceStartError(
        f"The service could not be started: {reason}. Its log {log} says:{shown}\n",
        "Run `embedwell serve` to see what it lacks, or stay in-process with `service = off`.",
    )
