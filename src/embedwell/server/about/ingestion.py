"""How far the ingestions of the served indexes are: as JSON, and for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.responses import Response

from embedwell.app.indexes.ingestions import IndexIngestion
from embedwell.app.indexes.serving import index_file, served
from embedwell.core.errors import BadRequestError
from embedwell.server.about.monitoring import samples
from embedwell.server.shared import metrics
from embedwell.server.shared.answers import NO_STORE, json_answer
from embedwell.server.shared.endpoint import Endpoint
from embedwell.server.shared.metrics import Sample
from embedwell.server.shared.security import is_unix

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.app.indexes.progress import Ingestion
    from embedwell.server.shared.service import Service

INGESTION_PATH = "/v1/ingestion"

# Each kind is a time series of its own: the rest is told together.
_MOST_KINDS = 20
_STATES = ("running", "checking", "stopped", "done")


class Ingestions(Struct):
    """How far each index is."""

    indexes: list[IndexIngestion]


async def ingestion(service: Service, request: Request, body: None) -> Response:
    """Tell how far the served indexes are, or the one that is asked for."""
    del body
    name, any_place = request.query_params.get("index", ""), is_unix(request.scope)

    def look() -> list[IndexIngestion]:
        if name:
            places = {name: index_file(name, service.settings, any_place=any_place)}
        else:
            places = dict(served(service.settings))
        return service.ingestions.of(places)

    # In a thread of its own: who only looks on takes none from those who search.
    found = await asyncio.to_thread(look)
    return json_answer(Ingestions(found), NO_STORE)


async def all_metrics(service: Service, request: Request, body: None) -> Response:
    """Everything counted and measured, for Prometheus."""
    del request, body
    try:
        places = served(service.settings)
    except BadRequestError:  # two of one name: `/v1/ingestion` says so, the rest is told still
        places = {}
    found = await asyncio.to_thread(service.ingestions.of, places)
    told = metrics.written([*samples(service), *samples_of(found)])
    return Response(told, media_type=metrics.MEDIA_TYPE)


def samples_of(found: Sequence[IndexIngestion]) -> Iterator[Sample]:
    """How far indexes are, as numbers."""
    for one in found:
        yield Sample(metrics.INDEX_READABLE, (one.index,), float(not one.error))
        if one.ingestion is not None:
            yield from _samples(one.index, one.ingestion)


def _samples(index: str, found: Ingestion) -> Iterator[Sample]:
    for state in _STATES:
        yield Sample(metrics.RUN_STATE, (index, state), float(state == found.state))
    for count in found.statuses:
        yield Sample(metrics.DOCUMENTS, (index, count.status), count.n)
    yield Sample(metrics.DOCUMENT_RATE, (index,), found.lately.documents)
    yield Sample(metrics.CHUNK_RATE, (index,), found.lately.chunks)
    yield Sample(metrics.WORKERS, (index,), found.n_alive)
    if found.eta_s is not None:
        yield Sample(metrics.SECONDS_LEFT, (index,), found.eta_s)
    for failure in found.failures[:_MOST_KINDS]:
        yield Sample(metrics.FAILURES, (index, failure.kind), failure.n)
    if rest := found.failures[_MOST_KINDS:]:
        yield Sample(metrics.FAILURES, (index, "other"), sum(one.n for one in rest))


ENDPOINTS = (
    Endpoint(
        "GET",
        INGESTION_PATH,
        "How far the newest run of each served index is: rows by status, speed, time left, "
        "failures by kind, workers; wakes nothing.",
        ingestion,
        answer=Ingestions,
        query=(("index", "Only this one, named as in a search."),),
        statuses=((404, "no such index, or it is not served"),),
    ),
    Endpoint(
        "GET",
        metrics.METRICS_PATH,
        "All metrics in Prometheus' text format; wakes nothing.",
        all_metrics,
        media_type=metrics.MEDIA_TYPE,
    ),
)
