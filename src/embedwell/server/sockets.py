"""The sockets that the service listens on: at most one service behind each."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from embedwell.app.config.settings import Settings
from embedwell.core.errors import ServiceStartError, StoreBusyError
from embedwell.stores.lock import locked

# sun_path holds 108 bytes on Linux and 104 elsewhere, the last of them zero.
_MAX_PATH_BYTES = 107
_CONNECT_S = 2.0
_BACKLOG = 512


def has_unix() -> bool:
    """Whether this system has Unix sockets."""
    return hasattr(socket, "AF_UNIX")


def socket_path(settings: Settings) -> Path:
    """Where the machine's service has its Unix socket."""
    return settings.socket or settings.cache / "service.sock"


@contextmanager
def listening(settings: Settings) -> Iterator[list[socket.socket]]:
    """Listen where the settings say; the socket's file is gone afterwards.

    Raises:
        ServiceStartError: A service is there already, or an address is taken or not allowed.
    """
    with ExitStack() as stack:
        sockets: list[socket.socket] = []
        if has_unix():
            stack.enter_context(_alone(socket_path(settings)))
        if settings.port:
            sockets.append(stack.enter_context(_tcp(settings.host, settings.port)))
        if has_unix():
            sockets.append(stack.enter_context(_unix(socket_path(settings))))
        yield sockets


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock beside the socket, so that of two services that start only one does."""
    _make_folder(path)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path.with_name(f"{path.name}.lock"), f"serving at {path}"))
        except StoreBusyError as busy:
            raise _runs_already(path, busy.problem) from busy
        except OSError as error:
            raise ServiceStartError(
                f"The folder of the Unix socket cannot be written: {error}.",
                "Set `socket` elsewhere.",
            ) from error
        yield


def _make_folder(path: Path) -> None:
    size = len(str(path).encode())
    if size > _MAX_PATH_BYTES:
        raise ServiceStartError(
            f"The path of the Unix socket has {size} bytes and may have {_MAX_PATH_BYTES}: {path}.",
            "Set `socket` to a shorter one.",
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceStartError(
            f"The folder of the Unix socket cannot be made: {error}.", "Set `socket` elsewhere."
        ) from error


@contextmanager
def _unix(path: Path) -> Iterator[socket.socket]:
    """Listen at a path where nobody answers; what a killed service left there is removed."""
    if path.exists() and not path.is_socket():
        raise ServiceStartError(f"{path} is there and is no socket.", "Set `socket` elsewhere.")
    if _answers(path):
        raise _runs_already(path, "Another program listens there.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        try:
            path.unlink(missing_ok=True)
            made.bind(str(path))
            path.chmod(0o600)  # before listening: nobody could connect until now
            made.listen(_BACKLOG)
        except OSError as error:
            raise ServiceStartError(
                f"The Unix socket {path} cannot be made: {error}.", "Set `socket` elsewhere."
            ) from error
        try:
            yield made
        finally:
            path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_CONNECT_S)
        try:
            asking.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:  # full backlog, or not ours: somebody is there
            return True
        return True


def _runs_already(path: Path, detail: str) -> ServiceStartError:
    return ServiceStartError(
        f"A service already runs at {path}. {detail}",
        "Use that one, stop it, or set `socket` (and `port`) to start another.",
    )


def _tcp(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        problem = "is taken" if taken else f"cannot be listened on: {error}"
        raise ServiceStartError(
            f"The address {host}:{port} {problem}.",
            "Set `port` to a free one (0 leaves TCP out) or `host` to an address of this machine.",
        ) from error
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made
