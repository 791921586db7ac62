"""Routes that compare what a model computes now with what an index holds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from starlette.responses import Response

from embedwell.server import paths
from embedwell.server.native.search import INDEX, NO_INDEX, OTHER_SPACE
from embedwell.server.shared.answers import json_answer
from embedwell.server.shared.endpoint import Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.app.indexes.index import Index
    from embedwell.core.events import Watch
    from embedwell.server.shared.service import Service


class ComparisonAnswer(Struct):
    """What `embedwell compare --json` prints; see docs/handshake.md."""

    ok: bool
    verdict: str
    faults: list[str]
    query: str
    space: dict[str, Any]
    written_by: dict[str, Any] | None
    asked_by: dict[str, Any] | None
    drift: dict[str, Any] | None
    vectors: dict[str, int]
    distances: dict[str, Any] | None
    embedded_again: dict[str, Any] | None
    code: dict[str, Any] | None = None


class DebugAnswer(Struct):
    """A query's vector beside the nearest stored one."""

    success: bool
    query: str
    backend_embedding_dims: int
    processing_time_ms: float
    comparison_stats: dict[str, float | None]
    distance: float | None
    backend_embedding: list[float]
    stored_embedding: list[float]


async def compare(service: Service, request: Request, body: None) -> Response:
    """Say whether the models and the index agree."""
    del body
    asked = request.query_params

    def look(index: Index, watch: Watch) -> dict[str, object]:
        from embedwell.app.indexes.comparing import compare_all  # noqa: PLC0415 - with the first index
        from embedwell.jobs.compare import as_json  # noqa: PLC0415 - the same

        return as_json(*compare_all(index, asked.get("query", ""), watch))

    return json_answer(await service.with_index(request, asked.get("index", ""), look))


async def debug(service: Service, request: Request, body: None) -> Response:
    """The main space's as tools written for this path read it."""
    del body
    asked = request.query_params

    def look(index: Index, watch: Watch) -> dict[str, object]:
        from embedwell.jobs.compare import as_debug_json  # noqa: PLC0415 - with the first index

        began = time.perf_counter()
        found = index.compare(asked.get("query", ""), watch)
        return as_debug_json(found, 1000 * (time.perf_counter() - began))

    return json_answer(await service.with_index(request, asked.get("index", ""), look))


_QUERY = ("query", "Whose distances to the stored vectors are told.")

ENDPOINTS = (
    Endpoint(
        "GET",
        paths.COMPARE,
        "Compare what the model computes now with the vectors of an index.",
        compare,
        answer=ComparisonAnswer,
        query=(_QUERY, INDEX),
        statuses=(NO_INDEX, OTHER_SPACE),
    ),
    Endpoint(
        "GET",
        paths.COMPARE_DEBUG,
        "The main space's, in the form of tools that compare a query with the nearest vector.",
        debug,
        answer=DebugAnswer,
        query=(_QUERY, INDEX),
        statuses=(NO_INDEX, OTHER_SPACE),
    ),
)
