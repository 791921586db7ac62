"""A service in this process whose fake runtime tells what happens to its models."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import uvicorn
from serving import FakeRuntime, free_port, wait_until

from embedwell.core.events import Event, Listener, Watch, ignore_events
from embedwell.server.application import application
from embedwell.server.shared.service import Service


@dataclass
class TellingRuntime(FakeRuntime):
    """Tells of loading and unloading; what it loads would be unloaded in 90 s.

    Attributes:
        listener: Whom it tells.
        warming: Loading stops half-way until it is set; set from the start.
    """

    listener: Listener = ignore_events
    warming: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.warming.set()

    def load(self, model: str, watch: Watch, *, pinned: bool = False, priority: int = 0) -> None:
        if model in self.held:
            return
        step = {"stage": "load", "done": 1.0, "total": 2.0, "unit": "steps"}
        self.listener(Event("loading", f"{model}@q8", step))
        assert self.warming.wait(30)
        super().load(model, watch, pinned=pinned, priority=priority)
        self.held[model] = replace(self.held[model], unloads_in_s=90.0)
        told = {"bytes": 23_000_000.0, "took_s": 0.25}
        self.listener(Event("loaded", f"{model}@q8", told))

    def unload(self, model: str) -> bool:
        was_loaded = super().unload(model.partition("@")[0])
        self.listener(Event("unloaded", f"{model.partition('@')[0]}@q8", {"reason": "asked"}))
        return was_loaded


@contextmanager
def watched(runtime: TellingRuntime) -> Iterator[tuple[str, Service]]:
    """Serve a runtime in a thread; gives the base URL and the service."""
    served, port = Service(runtime.settings, runtime), free_port()
    runtime.listener = served.tell
    config = uvicorn.Config(
        application(served), port=port, log_level="critical", lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{port}", served
    finally:
        served.drain()
        server.should_exit = True
        thread.join(20)
        served.close()
        assert not thread.is_alive()
