"""The ASGI application: every endpoint, its body decoded, its errors in the form it speaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from embedwell.app.config.sizes import parse_bytes
from embedwell.core.errors import EmbedwellError, NoSuchRouteError, ServiceStoppingError
from embedwell.engines.wire import BINARY
from embedwell.server.about import events, ingestion, monitoring, pages, reference
from embedwell.server.compatible import ollama, ollama_models, openai
from embedwell.server.native import compare, control, embedding, forgetting, rerank, search
from embedwell.server.shared.bodies import Bodies
from embedwell.server.shared.endpoint import Endpoint
from embedwell.server.shared.logs import logger
from embedwell.server.shared.monitor import Observation
from embedwell.server.shared.refusals import dialect_of, refusal, status_of
from embedwell.server.shared.security import Guard
from embedwell.server.shared.service import Service

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENDPOINTS: tuple[Endpoint, ...] = (
    *embedding.ENDPOINTS,
    *rerank.ENDPOINTS,
    *search.ENDPOINTS,
    *compare.ENDPOINTS,
    *control.ENDPOINTS,
    *reference.ENDPOINTS,
    *openai.ENDPOINTS,
    *ollama.ENDPOINTS,
    *ollama_models.ENDPOINTS,
    *forgetting.ENDPOINTS,
    *monitoring.ENDPOINTS,
    *ingestion.ENDPOINTS,
    *events.ENDPOINTS,
    *pages.ENDPOINTS,
)

# Requests that only look on: they neither keep the service from leaving when idle nor wake it.
_ONLOOKERS = frozenset(
    {"/health", "/ready"}
    | {e.path for part in (monitoring, ingestion, events, pages) for e in part.ENDPOINTS}
)

Answering: TypeAlias = Callable[[Request], Awaitable[Response]]


def application(service: Service, endpoints: Sequence[Endpoint] = ENDPOINTS) -> ASGIApp:
    """The application that serves a runtime."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    settings = service.settings
    bodies = Bodies(parse_bytes(settings.max_request), settings.request_timeout_s)
    routes = [
        Route(path, _answering(service, by_method, bodies), methods=[*by_method])
        for path, by_method in by_path.items()
    ]
    inner = Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route})
    inner.router.redirect_slashes = False
    inner.state.endpoints = tuple(endpoints)
    public = frozenset(e.path for e in endpoints if e.is_public)
    return _Observed(Guard(inner, settings, public), service)


def _answering(service: Service, by_method: Mapping[str, Endpoint], bodies: Bodies) -> Answering:
    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" and "HEAD" not in by_method else request.method
        endpoint = by_method[method]
        request.scope["embedwell.route"] = endpoint.path
        try:
            async with bodies.of(request, endpoint.body) as body:
                return await endpoint.handler(service, request, body)
        except EmbedwellError as error:
            if status_of(error) == 500:
                logger.error("%s %s: %s", request.method, endpoint.path, error)
            binary = endpoint.dialect == "native" and request.headers.get("accept", "") == BINARY
            return refusal(error, endpoint.dialect, binary=binary)
        except Exception:  # noqa: BLE001 - the log says which route; others are still served
            logger.exception("%s %s failed", request.method, endpoint.path)
            return refusal(_unexpected(), endpoint.dialect)

    return answer


def _unexpected() -> EmbedwellError:
    return EmbedwellError(
        "The service met an error that it does not know.",
        "Its log says more; please report it.",
    )


async def _no_route(request: Request, error: Exception) -> Response:
    """404 for an unknown path, 405 for a method that a path does not take."""
    status = getattr(error, "status_code", 404)
    path = request.url.path
    known = f"There is no route {path}." if status == 404 else f"{path} has no {request.method}."
    refused = NoSuchRouteError(known, "See /docs for all routes.")
    headers = getattr(error, "headers", None)
    return refusal(refused, dialect_of(path), status=status, headers=headers)


class _Observed:
    """Tells the service of each request, from its first byte to the answer's last."""

    def __init__(self, inner: ASGIApp, service: Service) -> None:
        self._inner = inner
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        service, status, begun = self._service, 0, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        weight = int(scope["path"] not in _ONLOOKERS)
        service.n_open += weight
        try:
            await self._inner(scope, receive, sending)
        except asyncio.CancelledError:
            if not service.is_draining:
                raise
            if not status:  # its time to finish is over: the client may ask elsewhere
                stopping = refusal(ServiceStoppingError(), dialect_of(scope["path"]))
                await stopping(scope, receive, sending)
        finally:
            service.n_open -= weight
            if weight:
                service.used_at = time.monotonic()
            route, took_s = scope.get("embedwell.route", ""), time.perf_counter() - begun
            service.monitor.answered(Observation(scope["method"], route, status or 499, took_s))
