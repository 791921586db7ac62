"""The whole application over a fake runtime, on a port that any client can call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from serving import FakeRuntime, free_port, wait_until

from embedwell.core.artifact import Artifact
from embedwell.core.errors import EmbedwellError
from embedwell.core.events import Watch
from embedwell.server.application import application
from embedwell.server.shared.service import Service


@dataclass
class PullingRuntime(FakeRuntime):
    """A fake runtime that also pulls, and remembers how long models are to be kept."""

    kept: dict[str, float | None] = field(default_factory=dict)
    pull_fault: EmbedwellError | None = None

    def keep(self, model: str, idle_s: float | None) -> None:
        self.kept[model] = idle_s

    def pull(self, model: str, watch: Watch) -> Artifact:
        for done in range(3):
            watch.progress("download", done * 50, 100, "bytes")
        watch.progress("verify", 100, 100, "bytes")
        if self.pull_fault:
            raise self.pull_fault
        for done in range(3):
            watch.progress("convert", done, 2, "tensors")
        self.load(model, watch)
        return next(iter(self.held.values())).artifact


@contextmanager
def listening(runtime: FakeRuntime) -> Iterator[str]:
    """Serve a runtime in a thread; gives the base URL."""
    served, port = Service(runtime.settings, runtime), free_port()
    config = uvicorn.Config(
        application(served), port=port, log_level="critical", lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
        served.close()
