"""embedwell's own routes to look after the service: models, readiness."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct
from starlette.responses import Response

from embedwell import __version__
from embedwell.core.errors import PressureError
from embedwell.runtime.states import ModelState
from embedwell.server.shared.answers import json_answer
from embedwell.server.shared.endpoint import Endpoint
from embedwell.server.shared.measured import LoadedModel, described

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.server.shared.service import Service

MODELS_PATH = "/v1/runtime/models"
_ONE_MODEL = MODELS_PATH + "/{model:path}"  # names such as `hf:owner/name` have slashes


class Health(Struct):
    """That the service is alive."""

    status: str
    version: str


class LoadedModels(Struct):
    """The models that are loaded right now."""

    models: list[LoadedModel]


class LoadRequest(Struct, forbid_unknown_fields=True):
    """How hard to hold on to a model.

    Attributes:
        pinned: Whether it is never unloaded by itself.
        priority: Higher ones are unloaded later.
    """

    pinned: bool = False
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0


class Unloaded(Struct):
    """Whether there was anything to unload."""

    unloaded: bool


async def health(service: Service, request: Request, body: None) -> Response:
    """Say that the service is alive, and wake nothing."""
    del service, request, body
    return json_answer(Health("ok", __version__))


async def ready(service: Service, request: Request, body: None) -> Response:
    """Say whether it takes work: not before its models are loaded, not while it stops."""
    del request, body
    if service.is_draining or not service.is_ready:
        reason = "is stopping" if service.is_draining else "is loading its models"
        raise PressureError(f"The service {reason}.", "Ask again in some seconds.")
    return json_answer(Health("ready", __version__))


async def models(service: Service, request: Request, body: None) -> Response:
    """Tell which models are loaded or loading."""
    del request, body
    return json_answer(LoadedModels([described(state) for state in service.runtime.states()]))


async def load(service: Service, request: Request, body: LoadRequest) -> Response:
    """Load a model, however long that takes; a client that leaves stops it."""
    name = request.path_params["model"]
    service.runtime.card(name)
    await service.work(
        request,
        lambda watch: service.runtime.load(name, watch, pinned=body.pinned, priority=body.priority),
        timeout_s=math.inf,
    )
    for state in service.runtime.states():
        if _is_named(service, state, name):
            return json_answer(described(state))
    raise PressureError(f"{name} was unloaded at once.", "See what else is loaded.")


async def unload(service: Service, request: Request, body: None) -> Response:
    """Give a model's memory back, once nobody uses it."""
    del body
    name = request.path_params["model"]
    service.runtime.card(name)
    was_loaded = any(_is_named(service, state, name) for state in service.runtime.states())
    if was_loaded:
        was_loaded = await service.work(request, lambda _: service.runtime.unload(name))
    return json_answer(Unloaded(was_loaded))


def _is_named(service: Service, state: ModelState, name: str) -> bool:
    """Whether a state is that of a model as people name it, with or without quantization."""
    card, level = service.runtime.known.named(name)
    artifact = state.artifact
    return artifact.space.model == card.name and level in {None, artifact.quantization}


_NO_MODEL = (404, "no such model")

ENDPOINTS = (
    Endpoint(
        "GET",
        "/health",
        "Whether the service is alive; wakes nothing.",
        health,
        answer=Health,
        is_public=True,
    ),
    Endpoint(
        "GET",
        "/ready",
        "Whether it takes work: 503 until what it preloads is loaded; wakes nothing.",
        ready,
        answer=Health,
        is_public=True,
    ),
    Endpoint(
        "GET", MODELS_PATH, "The models that are loaded or loading.", models, answer=LoadedModels
    ),
    Endpoint(
        "PUT",
        _ONE_MODEL,
        "Load a model, and say how hard to hold on to it; progress comes as events.",
        load,
        body=LoadRequest,
        answer=LoadedModel,
        statuses=(_NO_MODEL,),
    ),
    Endpoint(
        "DELETE",
        _ONE_MODEL,
        "Unload a model once nobody uses it.",
        unload,
        answer=Unloaded,
        statuses=(_NO_MODEL,),
    ),
)
