"""Services that peers are clients of: started, waited for, stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from benchmarks.engines import ENGINES, OURS, Engine
from benchmarks.environments import model_file, python
from benchmarks.paths import ROOT, work
from benchmarks.processes import Peer, environment
from benchmarks.product import command as embedwell_command

START_LIMIT_S = 120.0
STOP_LIMIT_S = 20.0
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
NO_CACHE = MappingProxyType({"EMBEDWELL_VECTOR_CACHE_ENTRIES": "0"})

# `embedwell.Embedder()` in the client's process; what runs the model is the service.
CLIENT = replace(ENGINES[OURS], name="embedwell client")
HTTP_CLIENT = Engine("http client", "http_client")


class ServiceError(Exception):
    """A service did not start; the message holds the last line of its log."""


@dataclass(frozen=True)
class Service:
    """A running service.

    Attributes:
        pid: Its process.
        client: What its clients run.
        extra: Environment variables with which they find it.
    """

    pid: int
    client: Engine
    extra: Mapping[str, str]


@contextmanager
def embedwell_service(
    n_threads: int, settings: Mapping[str, str] = NO_SETTINGS
) -> Iterator[Service]:
    """`embedwell serve` on a socket of its own; ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="embedwell-") as folder:  # paths of sockets are short
        path = Path(folder) / "s.sock"
        where = {"EMBEDWELL_SOCKET": str(path), "EMBEDWELL_PORT": "0"}
        command = [str(embedwell_command()), "serve"]
        env = environment(n_threads) | where | settings
        with _running("embedwell serve", command, env, lambda: _answers(path)) as pid:
            yield Service(pid, CLIENT, where | {"EMBEDWELL_SERVICE": "require"} | settings)


@contextmanager
def peer_service(n_threads: int) -> Iterator[Service]:
    """What people write today: FastAPI, uvicorn and sentence-transformers; ended afterwards.

    Raises:
        UnavailableError: Its packages could not be installed.
    """
    port = _free_port()
    command = [python("sentence-transformers"), "-m", "benchmarks.peers.http_service"]
    command += ["--model", model_file("published"), "--port", port, "--threads", n_threads]
    words = [str(word) for word in command]
    with _running(
        "http service", words, environment(n_threads), lambda: _answers(("127.0.0.1", port))
    ) as pid:
        yield Service(pid, replace(HTTP_CLIENT, variant=str(port)), {})


@contextmanager
def clients(service: Service, n_clients: int, n_threads: int) -> Iterator[list[Peer]]:
    """Fresh client processes of a service, ended afterwards."""
    with copies(service.client, n_clients, n_threads, service.extra) as found:
        yield found


@contextmanager
def copies(
    engine: Engine,
    n_copies: int,
    n_threads: int,
    extra: Mapping[str, str] = NO_SETTINGS,
    n_processors: int | None = None,
) -> Iterator[list[Peer]]:
    """Fresh processes of the same peer, on all the same processors, ended afterwards."""
    with ExitStack() as stack:
        found = []
        for i in range(n_copies):
            named = replace(engine, name=f"{engine.name} {i + 1}")
            peer = Peer(named, n_threads, extra, n_processors)
            stack.callback(peer.close)
            found.append(peer)
        yield found


@contextmanager
def _running(
    name: str, command: Sequence[str], env: Mapping[str, str], answers: Callable[[], bool]
) -> Iterator[int]:
    log = work("logs", f"{name}.log")
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=dict(env), stdout=out, stderr=out)
    try:
        until = time.monotonic() + START_LIMIT_S
        while not answers():
            if process.poll() is not None or time.monotonic() > until:
                last = log.read_text("utf-8", "replace").strip().rpartition("\n")[2]
                raise ServiceError(f"{name} did not start. {last}")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(address: Path | tuple[str, int]) -> bool:
    """Whether somebody accepts connections there."""
    is_path = isinstance(address, Path)
    with closing(socket.socket(socket.AF_UNIX if is_path else socket.AF_INET)) as trying:
        try:
            trying.connect(os.fspath(address) if is_path else address)
        except OSError:
            return False
    return True


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])
