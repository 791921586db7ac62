"""How the service is: its memory, models, requests and cache, now and lately."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.responses import Response

from embedwell import __version__
from embedwell.app.embedding.domains import NamedModel, Ram, by_domain, estimated_mb, ram
from embedwell.models.known import Known
from embedwell.server.shared import metrics
from embedwell.server.shared.answers import NO_STORE, json_answer
from embedwell.server.shared.endpoint import Endpoint
from embedwell.server.shared.measured import (
    CacheStatistics,
    LoadedModel,
    Pressure,
    cache_statistics,
    described,
    memory,
)
from embedwell.server.shared.metrics import Sample
from embedwell.server.shared.monitor import SAMPLE_S, Moment

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.server.shared.service import Service

MONITORING_PATH = "/v1/monitoring/embeddings"
HISTORY_PATH = "/v1/monitoring/history"


class Offered(Struct):
    """A model of the catalogue."""

    name: str
    summary: str
    domain: str
    dimensions: int
    n_parameters: int


class IndexModels(Struct):
    """The models of a served index that is open; an index knows its own."""

    index: str
    text: NamedModel
    code: NamedModel


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
    indexes: list[IndexModels]
    ram: Ram
    pressure: Pressure
    runtime: list[LoadedModel]
    catalogue: list[Offered]
    cache: CacheStatistics | None
    requests: Requests
    service: About


class History(Struct):
    """Samples, oldest first: each is [at, rss_bytes, models_bytes, pressure, n_requests]."""

    every_s: float
    budget_bytes: int
    samples: list[Moment]


async def monitoring(service: Service, request: Request, body: None) -> Response:
    """Tell how the service is."""
    del request, body
    return json_answer(report(service), NO_STORE)


async def history(service: Service, request: Request, body: None) -> Response:
    """Tell how it was."""
    del request, body
    budget_bytes = memory(service.runtime).budget_bytes
    return json_answer(History(SAMPLE_S, budget_bytes, service.monitor.moments()), NO_STORE)


def report(service: Service) -> Monitoring:
    """Everything, as it is now."""
    settings, monitor = service.settings, service.monitor
    states, held = service.runtime.states(), memory(service.runtime)
    known, uptime_s = Known(settings.cache), time.time() - monitor.started_at
    return Monitoring(
        models=by_domain(known, settings, states),
        indexes=[
            IndexModels(name, **by_domain(known, own, states))
            for name, own in service.indexes.settings_by_name().items()
        ],
        ram=ram(settings, held.rss_bytes, held.budget_bytes, estimated_mb(states)),
        pressure=held.pressure,
        runtime=[described(state) for state in states],
        catalogue=_offered(known),
        cache=cache_statistics(service.runtime),
        requests=_requests(service),
        service=About(__version__, os.getpid(), uptime_s, monitor.hub.n_listeners),
    )


def samples(service: Service) -> Iterator[Sample]:
    """Everything, for Prometheus."""
    held, monitor = memory(service.runtime), service.monitor
    yield from monitor.counters.samples()
    for state in service.runtime.states():
        name = state.artifact.name
        yield Sample(metrics.MODEL_BYTES, (name, state.state), state.size_bytes)
        yield Sample(metrics.MODEL_IN_USE, (name,), state.in_use)
    yield Sample(metrics.BUDGET, (), held.budget_bytes)
    yield Sample(metrics.RESIDENT, (), held.rss_bytes)
    yield Sample(metrics.PRESSURE, (), held.pressure.fraction)
    for level in ("low", "medium", "high", "critical"):
        yield Sample(metrics.LEVEL, (level,), int(level == held.pressure.level))
    if (kept := cache_statistics(service.runtime)) is not None:
        yield Sample(metrics.CACHE_HITS, (), kept.hits)
        yield Sample(metrics.CACHE_MISSES, (), kept.misses)
        yield Sample(metrics.CACHE_EVICTIONS, (), kept.evictions)
        yield Sample(metrics.CACHE_ENTRIES, (), kept.entries)
        yield Sample(metrics.CACHE_BYTES, (), kept.bytes)
    yield Sample(metrics.WAITING, (), service.n_waiting)
    yield Sample(metrics.LISTENERS, (), monitor.hub.n_listeners)
    yield Sample(metrics.UPTIME, (), time.time() - monitor.started_at)
    yield Sample(metrics.BUILD, (__version__, platform.python_version()), 1)


def _requests(service: Service) -> Requests:
    monitor = service.monitor
    taken_s = monitor.latencies_s()
    return Requests(
        total=int(monitor.counters.total(metrics.REQUESTS)),
        waiting=service.n_waiting,
        per_second=monitor.requests_per_second(),
        p50_s=quantile(taken_s, 0.5),
        p95_s=quantile(taken_s, 0.95),
        texts=int(monitor.counters.total(metrics.TEXTS)),
    )


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
