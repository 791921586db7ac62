"""What the service knows of itself: its memory, models, requests and cache, now and lately."""

from __future__ import annotations

import os
import platform
import threading
import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from starlette.responses import Response

from embedwell import __version__
from embedwell.app.embedding.domains import NamedModel, Ram, by_domain, estimated_mb, ram
from embedwell.core.events import Event
from embedwell.models.known import Known
from embedwell.server import metrics
from embedwell.server.control import LoadedModel, described
from embedwell.server.endpoint import Endpoint
from embedwell.server.events import Hub
from embedwell.server.logs import logger
from embedwell.server.measured import CacheStatistics, Pressure, cache_statistics, memory
from embedwell.server.metrics import Counters, Sample

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.core.embedded import Embedded
    from embedwell.server.service import Observation, Service

MONITORING_PATH = "/v1/monitoring/embeddings"
HISTORY_PATH = "/v1/monitoring/history"

SAMPLE_S = 2.0
_MOST_SAMPLES = 300
_RATE_S = 10.0
_MOST_LATENCIES = 256
_WARN_EVERY_S = 60.0
# A stream lasts as long as its listener likes: its time says nothing.
_STREAMS = frozenset({"/v1/events"})


class Offered(Struct):
    """A model of the catalogue."""

    name: str
    summary: str
    domain: str
    dimensions: int
    n_parameters: int


class Requests(Struct):
    """Requests since the start, their rate of late, and what the last ones with a body took."""

    total: int
    waiting: int
    per_second: float
    p50_s: float | None
    p95_s: float | None
    texts: int


class About(Struct):
    """The service itself."""

    version: str
    pid: int
    uptime_s: float
    listeners: int


class Monitoring(Struct):
    """Everything that helps to look after the service."""

    models: dict[str, NamedModel]
    ram: Ram
    pressure: Pressure
    runtime: list[LoadedModel]
    catalogue: list[Offered]
    cache: CacheStatistics | None
    requests: Requests
    service: About


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


class History(Struct):
    """Samples, oldest first: each is [at, rss_bytes, models_bytes, pressure, n_requests]."""

    every_s: float
    budget_bytes: int
    samples: list[Moment]


class Monitor:
    """Counts what the service does, and remembers its last ten minutes.

    Looking at it loads nothing and keeps nothing loaded.

    Args:
        service: Whom it watches; it listens to its events and requests from now on.
    """

    def __init__(self, service: Service) -> None:
        self.hub = Hub()
        self.counters = Counters()
        self.history: deque[Moment] = deque(maxlen=_MOST_SAMPLES)
        self._service = service
        self._lock = threading.Lock()
        self._latencies_s = array("d")
        self._n_latencies = 0
        self._warned_at: float | None = None
        service.listeners += [self.hub.publish, self._happened]
        service.observers.append(self._answered)

    def sample(self) -> None:
        """Remember this moment, if the last one is long enough ago; warn where that is due."""
        now = time.time()
        with self._lock:
            if self.history and 0 <= now - self.history[-1].at < SAMPLE_S * 0.95:
                return
            self.history.append(self._moment(now))
            self._warn(self.history[-1].models_bytes / 1e6)

    def embedded(self, found: Embedded) -> None:
        """Count texts that were embedded, and their tokens; from any thread."""
        self.counters.add(metrics.TEXTS, found.artifact, by=len(found.n_tokens))
        self.counters.add(metrics.TOKENS, found.artifact, by=int(found.n_tokens.sum()))

    def report(self) -> Monitoring:
        """Everything, as it is now."""
        service, states = self._service, self._service.runtime.states()
        settings, held = service.settings, memory(service.runtime)
        models_mb = estimated_mb(states)
        self._warn(models_mb)
        return Monitoring(
            models=by_domain(Known(settings.cache), settings, states),
            ram=ram(settings, held.rss_bytes, held.budget_bytes, models_mb),
            pressure=held.pressure,
            runtime=[described(state) for state in states],
            catalogue=_offered(Known(settings.cache)),
            cache=cache_statistics(service.runtime),
            requests=self._requests(),
            service=About(
                __version__, os.getpid(), time.time() - service.started_at, self.hub.n_listeners
            ),
        )

    def samples(self) -> Iterator[Sample]:
        """Everything, for Prometheus."""
        service = self._service
        held, kept = memory(service.runtime), cache_statistics(service.runtime)
        yield from self.counters.samples()
        for state in service.runtime.states():
            name = state.artifact.name
            yield Sample(metrics.MODEL_BYTES, (name, state.state), state.size_bytes)
            yield Sample(metrics.MODEL_IN_USE, (name,), state.in_use)
        yield Sample(metrics.BUDGET, (), held.budget_bytes)
        yield Sample(metrics.RESIDENT, (), held.rss_bytes)
        yield Sample(metrics.PRESSURE, (), held.pressure.fraction)
        for level in ("low", "medium", "high", "critical"):
            yield Sample(metrics.LEVEL, (level,), int(level == held.pressure.level))
        if kept is not None:
            yield Sample(metrics.CACHE_HITS, (), kept.hits)
            yield Sample(metrics.CACHE_MISSES, (), kept.misses)
            yield Sample(metrics.CACHE_EVICTIONS, (), kept.evictions)
            yield Sample(metrics.CACHE_ENTRIES, (), kept.entries)
            yield Sample(metrics.CACHE_BYTES, (), kept.bytes)
        yield Sample(metrics.WAITING, (), service.n_waiting)
        yield Sample(metrics.LISTENERS, (), self.hub.n_listeners)
        yield Sample(metrics.UPTIME, (), time.time() - service.started_at)
        yield Sample(metrics.BUILD, (__version__, platform.python_version()), 1)

    def past(self) -> History:
        """The samples of the last ten minutes, and this moment."""
        now = self._moment(time.time())
        with self._lock:
            return History(
                SAMPLE_S, memory(self._service.runtime).budget_bytes, [*self.history, now]
            )

    def _moment(self, now: float) -> Moment:
        runtime = self._service.runtime
        held = memory(runtime)
        return Moment(
            at=round(now, 2),
            rss_bytes=held.rss_bytes,
            models_bytes=sum(state.size_bytes for state in runtime.states()),
            pressure=round(held.pressure.fraction, 4),
            n_requests=int(self.counters.total(metrics.REQUESTS)),
        )

    def _requests(self) -> Requests:
        total = int(self.counters.total(metrics.REQUESTS))
        with self._lock:
            taken = sorted(self._latencies_s)
            past = next((m for m in reversed(self.history) if m.at < time.time() - _RATE_S), None)
        since, before = (past.at, past.n_requests) if past else (self._service.started_at, 0)
        return Requests(
            total=total,
            waiting=self._service.n_waiting,
            per_second=round((total - before) / max(time.time() - since, 1.0), 2),
            p50_s=quantile(taken, 0.5),
            p95_s=quantile(taken, 0.95),
            texts=int(self.counters.total(metrics.TEXTS)),
        )

    def _answered(self, seen: Observation) -> None:
        route = seen.route or "none"
        self.counters.add(metrics.REQUESTS, seen.method, route, str(seen.status))
        if route in _STREAMS:
            return
        self.counters.observe(metrics.DURATION, route, seconds=seen.took_s)
        if seen.method == "POST":
            with self._lock:
                if len(self._latencies_s) < _MOST_LATENCIES:
                    self._latencies_s.append(seen.took_s)
                else:
                    self._latencies_s[self._n_latencies % _MOST_LATENCIES] = seen.took_s
                self._n_latencies += 1

    def _happened(self, event: Event) -> None:
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

    def _warn(self, models_mb: float) -> None:
        settings, now = self._service.settings, time.monotonic()
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


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value that this share of an ordered sequence is not above; None where it is empty."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _offered(known: Known) -> list[Offered]:
    return [
        Offered(card.name, card.summary, card.domain, card.dimensions, card.n_parameters)
        for card in known.all()
    ]


async def monitoring(service: Service, request: Request, body: None) -> Response:
    """Tell how the service is."""
    del request, body
    return _json(service.monitor.report())


async def history(service: Service, request: Request, body: None) -> Response:
    """Tell how it was."""
    del request, body
    return _json(service.monitor.past())


def _json(answer: Struct) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(answer), headers=headers, media_type="application/json")


ENDPOINTS = (
    Endpoint(
        "GET",
        MONITORING_PATH,
        "Models, memory, pressure, cache and requests, as they are now; wakes nothing.",
        monitoring,
        answer=Monitoring,
    ),
    Endpoint(
        "GET",
        HISTORY_PATH,
        "Memory, pressure and requests of the last ten minutes; wakes nothing.",
        history,
        answer=History,
    ),
)
