"""Services for tests: real ones in a process of their own, and a runtime without a model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from embedwell.app.config.settings import Settings
from embedwell.app.embedding.runtime import Runtime
from embedwell.core.artifact import Artifact
from embedwell.core.embedded import Embedded
from embedwell.core.events import Watch
from embedwell.core.space import Kind
from embedwell.core.vectors import IntArray
from embedwell.engines.http import Address, HttpEngine
from embedwell.runtime.states import ModelState
from embedwell.testing import FAKE_BUILD, FakeEmbedder

MODEL = "all-MiniLM-L6-v2"


@dataclass
class RunningService:
    """A service in a process of its own.

    Attributes:
        settings: What it was started with.
        process: It.
        log: Where its standard error goes.
    """

    settings: Settings
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def socket(self) -> Path:
        assert self.settings.socket is not None
        return self.settings.socket

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    @property
    def environment(self) -> dict[str, str]:
        """For processes that use it."""
        return os.environ | {
            "EMBEDWELL_SERVICE": "require",
            "EMBEDWELL_SOCKET": str(self.socket),
            "EMBEDWELL_CACHE": str(self.settings.cache),
        }

    @contextmanager
    def engine(self, *, tcp: bool = False, timeout_s: float = 60) -> Iterator[HttpEngine]:
        place = None if tcp else self.socket
        engine = HttpEngine(Address(place, port=self.settings.port, timeout_s=timeout_s))
        with closing(engine):
            yield engine

    def answers(self) -> bool:
        with self.engine() as engine:
            return engine.answers()

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(sign)
        return self.process.wait(20)

    def errors(self) -> str:
        return self.log.read_text("utf-8")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a Unix socket's."""
    with tempfile.TemporaryDirectory(prefix="ew") as folder:
        yield Path(folder)


@contextmanager
def serving(
    settings: Settings, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Iterator[RunningService]:
    """Start a service with the settings' socket, port and cache; stop it afterwards."""
    assert settings.socket is not None
    log = settings.socket.with_suffix(".log")
    variables = {name: v for name, v in os.environ.items() if not name.startswith("EMBEDWELL_")}
    variables |= {
        "EMBEDWELL_SOCKET": str(settings.socket),
        "EMBEDWELL_PORT": str(settings.port),
        "EMBEDWELL_CACHE": str(settings.cache),
        "EMBEDWELL_THREADS": "1",
    } | dict(environment or {})
    command = [sys.executable, "-m", "embedwell.cli.main", "serve", *arguments]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=variables, stderr=errors)
    running = RunningService(settings, process, log)
    try:
        wait_until(lambda: running.answers() or process.poll() is not None)
        assert process.poll() is None, running.errors()
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until(true: Callable[[], object], limit_s: float = 30) -> None:
    until = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


@dataclass
class FakeRuntime(Runtime):
    """A runtime whose vectors come from `FakeEmbedder`; knows the catalogue's models.

    Attributes:
        hold: Work waits until it is set; set from the start.
        begun: Set once work has begun.
        cancelled: Set once work was asked to stop while it waited.
        fault: Raised by every embedding instead of an answer.
    """

    settings: Settings = field(default_factory=Settings)
    hold: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    fault: Exception | None = None
    held: dict[str, ModelState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.settings)
        self.hold.set()

    def embed(self, model: str, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        card = self.card(model)
        self.begun.set()
        while not self.hold.wait(0.01):
            if watch.cancelled.is_set():
                self.cancelled.set()
            watch.check("embed")
        if self.fault:
            raise self.fault
        self.load(model, watch)
        build = replace(FAKE_BUILD, artifact=f"{card.name}@q8", quantization="q8")
        return FakeEmbedder(card.space, build).embed(texts, kind, watch)

    def token_starts(self, model: str, text: str) -> IntArray:
        return FakeEmbedder(self.card(model).space).token_starts(text)

    def load(self, model: str, watch: Watch, *, pinned: bool = False, priority: int = 0) -> None:
        card = self.card(model)
        for done in range(3):
            watch.progress("load", done, 3, "steps")
        artifact = Artifact(card.space, "q8", "fake", Path(), card.name, "", "", 23_000_000)
        state = ModelState(artifact, "loaded", 23_000_000, pinned=pinned, priority=priority)
        self.held[card.name] = state

    def unload(self, model: str) -> bool:
        return self.held.pop(self.card(model).name, None) is not None

    def states(self) -> list[ModelState]:
        return list(self.held.values())

    def check_idle(self) -> bool:
        return False

    def close(self) -> None:
        self.held.clear()
