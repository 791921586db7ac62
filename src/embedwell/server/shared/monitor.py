"""What the service remembers of itself: requests, texts, events, memory of late."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import Struct

from embedwell.app.config.settings import Settings
from embedwell.app.embedding.runtime import Runtime
from embedwell.core.events import Event
from embedwell.server.shared import metrics
from embedwell.server.shared.hub import Hub
from embedwell.server.shared.logs import logger
from embedwell.server.shared.measured import memory
from embedwell.server.shared.metrics import Counters

if TYPE_CHECKING:
    from embedwell.core.embedded import Embedded

SAMPLE_S = 2.0
_MOST_SAMPLES = 300
_RATE_S = 10.0
_MOST_LATENCIES = 256
_WARN_EVERY_S = 60.0
# A stream lasts as long as its listener likes: its time says nothing.
_STREAMS = frozenset({"/v1/events"})


@dataclass(frozen=True)
class Observation:
    """A request that was answered.

    Attributes:
        method: Its method.
        route: The path of its endpoint, such as `/v1/models/{model}`; empty where there is none.
        status: Of the answer; 499 where the client left before it.
        took_s: Seconds from its first byte to the answer's last.
    """

    method: str
    route: str
    status: int
    took_s: float


class Moment(Struct, array_like=True, frozen=True):
    """What was at one time.

    Attributes:
        at: Seconds since 1970.
        rss_bytes: Resident memory of the process.
        models_bytes: Memory of the loaded models, estimated until it was measured.
        pressure: Share of the memory that others have too, 0..1.
        n_requests: Requests that were answered since the start.
    """

    at: float
    rss_bytes: int
    models_bytes: int
    pressure: float
    n_requests: int


class Monitor:
    """Counts what the service does, and remembers its last ten minutes.

    Looking at it loads nothing and keeps nothing loaded. Safe to tell from any thread.

    Args:
        settings: What the user chose.
        runtime: Whose memory and models it looks at.

    Attributes:
        hub: Passes events on to those who listen.
        counters: Of requests, texts and events since the start.
        started_at: Seconds since 1970.
    """

    def __init__(self, settings: Settings, runtime: Runtime) -> None:
        self.hub = Hub()
        self.counters = Counters()
        self.started_at = time.time()
        self._settings = settings
        self._runtime = runtime
        self._lock = threading.Lock()
        self._moments: deque[Moment] = deque(maxlen=_MOST_SAMPLES)
        self._latencies_s: deque[float] = deque(maxlen=_MOST_LATENCIES)
        self._warned_at: float | None = None

    def sample(self) -> None:
        """Remember this moment, if the last one is long enough ago; warn where that is due."""
        now = time.time()
        with self._lock:
            if self._moments and 0 <= now - self._moments[-1].at < SAMPLE_S * 0.95:
                return
            self._moments.append(self._moment(now))
            self._warn(self._moments[-1].models_bytes / 1e6)

    def embedded(self, found: Embedded) -> None:
        """Count texts that were embedded, and their tokens."""
        self.counters.add(metrics.TEXTS, found.artifact, by=len(found.n_tokens))
        self.counters.add(metrics.TOKENS, found.artifact, by=int(found.n_tokens.sum()))

    def answered(self, seen: Observation) -> None:
        """Count a request."""
        route = seen.route or "none"
        self.counters.add(metrics.REQUESTS, seen.method, route, str(seen.status))
        if route in _STREAMS:
            return
        self.counters.observe(metrics.DURATION, route, seconds=seen.took_s)
        if seen.method == "POST":
            with self._lock:
                self._latencies_s.append(seen.took_s)

    def happened(self, event: Event) -> None:
        """Count an event of the runtime, and pass it on."""
        self.hub.publish(event)
        reason = str(event.detail.get("reason"))
        if event.kind == "loaded":
            took_s = float(event.detail.get("took_s") or 0.0)
            self.counters.add(metrics.LOADS, event.artifact)
            self.counters.add(metrics.LOADING, event.artifact, by=took_s)
        elif event.kind == "unloaded":
            self.counters.add(metrics.UNLOADS, event.artifact, reason)
        elif event.kind == "refused":
            self.counters.add(metrics.REFUSALS, reason)
        elif event.kind == "warning":
            self.counters.add(metrics.WARNINGS)

    def moments(self) -> list[Moment]:
        """Samples of the last ten minutes, oldest first, and this moment."""
        now = self._moment(time.time())
        with self._lock:
            return [*self._moments, now]

    def latencies_s(self) -> list[float]:
        """What the last requests with a body took, in seconds, shortest first."""
        with self._lock:
            return sorted(self._latencies_s)

    def requests_per_second(self) -> float:
        """The rate of the last seconds."""
        now = time.time()
        with self._lock:
            past = next((m for m in reversed(self._moments) if m.at < now - _RATE_S), None)
        since, before = (past.at, past.n_requests) if past else (self.started_at, 0)
        n_lately = self.counters.total(metrics.REQUESTS) - before
        return round(n_lately / max(now - since, 1.0), 2)

    def _moment(self, now: float) -> Moment:
        held = memory(self._runtime)
        return Moment(
            at=round(now, 2),
            rss_bytes=held.rss_bytes,
            models_bytes=sum(state.size_bytes for state in self._runtime.states()),
            pressure=round(held.pressure.fraction, 4),
            n_requests=int(self.counters.total(metrics.REQUESTS)),
        )

    def _warn(self, models_mb: float) -> None:
        settings, now = self._settings, time.monotonic()
        if not warns(models_mb, settings.memory_warning_mb, self._warned_at, now):
            return
        self._warned_at = now
        fields = {
            "event": "models_memory",
            "estimated_models_mb": round(models_mb, 1),
            "warning_mb": settings.memory_warning_mb,
            "limit_mb": settings.memory_limit_mb,
            "budget_exceeded": models_mb > settings.memory_limit_mb,
        }
        logger.warning("loaded models take %.0f MB", models_mb, extra={"fields": fields})


def warns(models_mb: float, warning_mb: float, warned_at: float | None, now: float) -> bool:
    """Whether to warn: the estimate is above the mark, and the last warning a minute ago."""
    is_due = warned_at is None or now - warned_at >= _WARN_EVERY_S
    return models_mb > warning_mb and is_due
