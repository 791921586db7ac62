"""The routes that programs written for Ollama call to see and pull models."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from starlette.responses import Response, StreamingResponse

from embedwell.core.artifact import Artifact
from embedwell.core.errors import EmbedwellError, UnknownModelError
from embedwell.core.events import Progress
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.catalogue import ModelCard
from embedwell.runtime.states import ModelState
from embedwell.server.compatible.kept import kept_models
from embedwell.server.compatible.ollama import card_of
from embedwell.server.shared.answers import json_answer
from embedwell.server.shared.endpoint import Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from embedwell.server.shared.service import Service

# What "for ever" is in a date: the last second that 64 bits of nanoseconds hold.
_FOR_EVER = datetime(2262, 4, 11, 23, 47, 16, tzinfo=UTC)
_LINE_EVERY_S = 0.1


class Details(Struct):
    """What kind of model it is."""

    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str
    context_length: int
    embedding_length: int
    parent_model: str = ""


class Tag(Struct):
    """A model that is on this machine; its size in bytes, on disk."""

    name: str
    model: str
    modified_at: datetime
    size: int
    digest: str
    details: Details
    capabilities: list[str]


class Tags(Struct):
    """The models that are on this machine."""

    models: list[Tag]


class Running(Struct):
    """A model that is loaded; its size in bytes, in memory."""

    name: str
    model: str
    size: int
    digest: str
    details: Details
    expires_at: datetime
    context_length: int
    size_vram: int = 0


class RunningModels(Struct):
    """The models that are loaded."""

    models: list[Running]


class ShowRequest(Struct):
    """Which model: `model`, or `name` as older programs say."""

    model: str = ""
    name: str = ""
    verbose: bool | None = None


class Shown(Struct):
    """What is known of a model."""

    license: str
    details: Details
    model_info: dict[str, str | int]
    capabilities: list[str]
    modified_at: datetime
    modelfile: str = ""
    parameters: str = ""
    template: str = ""


class PullRequest(Struct):
    """Which model: `model`, or `name` as older programs say.

    Attributes:
        stream: Whether progress comes as lines of JSON; else one object comes at the end.
    """

    model: str = ""
    name: str = ""
    stream: bool | None = None
    insecure: bool | None = None


class Step(Struct, omit_defaults=True):
    """A step of a pull; bytes, and tensors while converting."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


async def tags(service: Service, request: Request, body: None) -> Response:
    """List the models that are on this machine, under the names that programs know."""
    del body
    found = await service.work(request, lambda _: kept_models(service))
    named = {name: one for one in found for name in _names(service, *one)}
    return json_answer(Tags([_tag(name, *one) for name, one in named.items()]))


async def running(service: Service, request: Request, body: None) -> Response:
    """List the models that are loaded."""
    del request, body
    states = service.runtime.states()
    card = service.runtime.card
    found = [
        _running(card(one.artifact.space.model), one) for one in states if one.state == "loaded"
    ]
    return json_answer(RunningModels(sorted(found, key=lambda one: one.expires_at, reverse=True)))


async def show(service: Service, request: Request, body: ShowRequest) -> Response:
    """Tell of a model that is on this machine."""
    name = body.model or body.name
    model = card_of(service, name)
    level = service.runtime.known.named(service.runtime.artifact_name(name))[1] or "q8"
    kept = ArtifactStore(service.settings.cache)
    found = await service.work(request, lambda _: kept.find(model, level))
    if found is None:
        raise UnknownModelError(
            f"model '{name}' not found: it is in the catalogue, and not on this machine.",
            "Pull it, or embed with it, which pulls it too.",
        )
    return json_answer(_shown(model, found))


async def pull(service: Service, request: Request, body: PullRequest) -> Response:
    """Bring a model onto this machine, telling how far it is."""
    name = body.model or body.name
    model = card_of(service, name)
    if body.stream is False:
        await service.work(
            request, lambda watch: service.runtime.pull(name, watch), timeout_s=math.inf
        )
        return json_answer(Step("success"))
    return StreamingResponse(_lines(service, name, model), media_type="application/x-ndjson")


async def _lines(service: Service, name: str, model: ModelCard) -> AsyncIterator[bytes]:
    """A line of JSON for each step; not more than some a second."""
    yield _line(Step("pulling manifest"))
    last, told_at = Step(""), 0.0
    try:
        async with aclosing(service.follow(lambda watch: service.runtime.pull(name, watch))) as it:
            async for found in it:
                if not isinstance(found, Progress):
                    break
                step = _step(found, model)
                is_due = step.status != last.status or found.done == found.total
                if step != last and (is_due or time.monotonic() - told_at > _LINE_EVERY_S):
                    yield _line(step)
                    last, told_at = step, time.monotonic()
    except EmbedwellError as error:
        yield msgspec.json.encode({"error": str(error)}) + b"\n"
        return
    yield _line(Step("writing manifest"))
    yield _line(Step("success"))


def _step(progress: Progress, model: ModelCard) -> Step:
    """A step of ours in Ollama's words."""
    digest = model.files[model.weights].sha256
    if progress.stage == "verify":
        return Step("verifying sha256 digest")
    is_download = progress.stage == "download"
    return Step(
        f"pulling {digest[:12]}" if is_download else progress.stage,
        f"sha256:{digest}" if is_download else "",
        progress.total or 0,
        progress.done,
    )


def _names(service: Service, model: ModelCard, artifact: Artifact) -> list[str]:
    """`model:q8`, and for what a bare name gives also each short name with `:latest`."""
    names = [_tagged(artifact)]
    if artifact.name == service.runtime.artifact_name(model.name):
        short = [name for name in (model.name, *model.aliases) if "/" not in name]
        names += [f"{name}:latest" for name in short]
    return names


def _tagged(artifact: Artifact) -> str:
    return f"{artifact.space.model}:{artifact.quantization}"


def _tag(name: str, model: ModelCard, artifact: Artifact) -> Tag:
    return Tag(
        name=name,
        model=name,
        modified_at=_made_at(artifact),
        size=artifact.size_bytes,
        digest=artifact.key,
        details=_details(model, artifact),
        capabilities=[artifact.head],
    )


def _running(model: ModelCard, state: ModelState) -> Running:
    left_s, now = state.unloads_in_s, datetime.now(UTC)
    name = _tagged(state.artifact)
    return Running(
        name=name,
        model=name,
        size=state.size_bytes,
        digest=state.artifact.key,
        details=_details(model, state.artifact),
        expires_at=_FOR_EVER if left_s is None else _later(now, left_s),
        context_length=state.artifact.space.max_tokens,
    )


def _later(now: datetime, seconds: float) -> datetime:
    return min(now + timedelta(seconds=min(seconds, 1e9)), _FOR_EVER)


def _shown(model: ModelCard, artifact: Artifact) -> Shown:
    family = model.architecture
    return Shown(
        license=model.licence,
        details=_details(model, artifact),
        model_info={
            "general.architecture": family,
            "general.basename": model.name,
            "general.parameter_count": model.n_parameters,
            f"{family}.context_length": model.max_tokens,
            f"{family}.embedding_length": model.dimensions,
            f"{family}.pooling_type": model.pooling,
        },
        capabilities=[artifact.head],
        modified_at=_made_at(artifact),
    )


def _details(model: ModelCard, artifact: Artifact) -> Details:
    return Details(
        format=artifact.engine,
        family=model.architecture,
        families=[model.architecture],
        parameter_size=_readable(model.n_parameters),
        quantization_level=artifact.quantization.upper(),
        context_length=model.max_tokens,
        embedding_length=model.dimensions,
    )


def _readable(n_parameters: int) -> str:
    """Such as `23M` or `1.5B`."""
    if n_parameters < 1e9:
        return f"{n_parameters / 1e6:.0f}M"
    return f"{n_parameters / 1e9:.1f}B"


def _made_at(artifact: Artifact) -> datetime:
    return datetime.fromtimestamp(artifact.folder.stat().st_mtime, UTC)


def _line(step: Step) -> bytes:
    return msgspec.json.encode(step) + b"\n"


_NO_MODEL = (404, "no such model")

ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/tags",
        "Ollama: the models that are on this machine.",
        tags,
        answer=Tags,
        dialect="ollama",
    ),
    Endpoint(
        "GET",
        "/api/ps",
        "Ollama: the models that are loaded.",
        running,
        answer=RunningModels,
        dialect="ollama",
    ),
    Endpoint(
        "POST",
        "/api/show",
        "Ollama: what is known of a model that is on this machine.",
        show,
        body=ShowRequest,
        answer=Shown,
        dialect="ollama",
        statuses=(_NO_MODEL,),
    ),
    Endpoint(
        "POST",
        "/api/pull",
        "Ollama: bring a model onto this machine; lines of JSON tell how far it is.",
        pull,
        body=PullRequest,
        answer=Step,
        dialect="ollama",
        media_type="application/x-ndjson, application/json",
        statuses=(_NO_MODEL,),
    ),
)
