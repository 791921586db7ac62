"""The life of a service: started, asked, told to stop, killed."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from serving import MODEL, RunningService, free_port, serving, wait_until

from embedwell.app.config.settings import Settings
from embedwell.core.errors import EmbedwellError, ServiceGoneError, ServiceStartError
from embedwell.core.events import Watch
from embedwell.engines.wire import EmbedRequest
from embedwell.server.serve import serve
from embedwell.server.shared.logs import log_to_stderr, logger

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and Unix sockets")

LONG = [f"{number} long text " * 100 for number in range(4000)]


@pytest.fixture
def settings(folder, real_cache) -> Settings:
    return Settings(cache=real_cache, socket=folder / "s", port=free_port())


def embed(running: RunningService, texts: list[str]) -> int:
    with running.engine() as engine:
        return len(engine.embed(EmbedRequest(MODEL, texts), Watch()).n_tokens) // 8


def status_of_ready(running: RunningService) -> str:
    with running.engine() as engine:
        try:
            engine.request("GET", "/ready")
        except EmbedwellError as error:
            return type(error).__name__
    return "ready"


class Asking(threading.Thread):
    """Embeds in the background; keeps what came of it."""

    def __init__(self, running: RunningService, texts: list[str]) -> None:
        super().__init__()
        self._running = running
        self._texts = texts
        self.found: int | EmbedwellError | None = None
        self.start()
        wait_until(lambda: n_open(running))

    def run(self) -> None:
        try:
            self.found = embed(self._running, self._texts)
        except EmbedwellError as error:
            self.found = error


def n_open(running: RunningService) -> bool:
    """Whether a model is loaded: the request before it has come so far."""
    with running.engine() as engine:
        return bool(json.loads(engine.request("GET", "/v1/runtime/models"))["models"])


def test_it_says_where_it_listens_and_leaves_nothing(settings):
    with serving(settings) as running:
        assert str(running.socket) in running.errors()
        assert running.base_url in running.errors()
        with running.engine(tcp=True) as engine:
            assert engine.answers()
        assert running.stop() == 0
    assert not running.socket.exists()


def test_a_second_one_says_that_the_first_runs(settings):
    with serving(settings) as running:
        command = [sys.executable, "-m", "embedwell.cli.main", "serve"]
        second = subprocess.run(
            command, env=running.environment, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "already runs" in second.stderr
        assert running.answers()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_finished(settings, sign):
    with serving(settings) as running:
        asking = Asking(running, LONG[:50])
        assert running.stop(sign) == 0
        asking.join()
        assert asking.found == 50


def test_a_second_signal_ends_it(settings):
    with serving(settings) as running:
        asking = Asking(running, LONG)
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not running.answers())
        assert running.stop() == 0
        asking.join()
        assert isinstance(asking.found, EmbedwellError)
    assert not running.socket.exists()


def test_a_killed_one_is_noticed_and_the_next_one_starts(settings):
    with serving(settings) as running:
        asking = [Asking(running, LONG[:1000]) for _ in range(3)]
        running.stop(signal.SIGKILL)
        for one in asking:
            one.join()
            assert isinstance(one.found, ServiceGoneError)
        assert running.socket.exists()
    with serving(settings) as running:
        assert embed(running, ["it works again"]) == 1


def test_it_leaves_when_nobody_asks(settings):
    with serving(settings, ["--exit-when-idle", "0.5"]) as running:
        assert running.process.wait(20) == 0
    assert not running.socket.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_it_serves_where_its_log_finds_no_room(folder):
    command = [sys.executable, "-m", "embedwell.cli.main", "serve", "--exit-when-idle", "0.1"]
    environment = os.environ | {"EMBEDWELL_PORT": "0", "EMBEDWELL_SOCKET": str(folder / "s")}
    with Path("/dev/full").open("wb", 0) as full:
        assert subprocess.run(command, env=environment, stderr=full, check=False).returncode == 0


def test_it_is_ready_once_its_models_are_loaded(settings):
    with serving(settings, ["--preload", MODEL]) as running:
        wait_until(lambda: status_of_ready(running) == "ready")
        assert n_open(running)


def test_a_model_that_cannot_be_preloaded_is_logged(settings):
    with serving(settings, ["--preload", "none", "--log-json"]) as running:
        wait_until(lambda: status_of_ready(running) == "ready")
        line = json.loads(running.errors().splitlines()[-1])
        assert line["level"] == "error"
        assert "none" in line["message"]


def test_it_does_not_listen_beyond_this_machine_without_a_key(folder):
    command = [sys.executable, "-m", "embedwell.cli.main", "serve", "--host", "0.0.0.0"]
    run = subprocess.run(command, cwd=Path(folder), capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "api_key" in run.stderr


def test_without_tcp_and_unix_sockets_there_is_nowhere_to_listen(monkeypatch):
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ServiceStartError, match="`port`"):
        serve(Settings(port=0))


@pytest.mark.parametrize("as_json", [True, False])
def test_the_log_tells_what_went_wrong_and_where(as_json, capsys):
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        log_to_stderr(as_json=as_json)
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            logger.exception("it failed", extra={"fields": {"model": "m"}})
    finally:
        logging.basicConfig(level=level, handlers=before, force=True)
    text = capsys.readouterr().err
    if as_json:
        line = json.loads(text)
        assert (line["level"], line["message"], line["model"]) == ("error", "it failed", "m")
        text = line["traceback"]
    assert "ZeroDivisionError" in text
