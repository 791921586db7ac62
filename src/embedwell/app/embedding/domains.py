"""Text and code: which model serves which, and what that takes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from msgspec import Struct

from embedwell.app.config.settings import Settings
from embedwell.app.models.choose import AUTO
from embedwell.core.errors import UnknownModelError
from embedwell.models.known import Known
from embedwell.runtime.states import ModelState


class EmbeddingDomain(Enum):
    """Which of two models embeds a text: that for text, that for code, or both."""

    TEXT = "text"
    CODE = "code"
    HYBRID = "hybrid"


class NamedModel(Struct):
    """A model that serves a domain, and whether it is in memory."""

    name: str
    loaded: bool


class Ram(Struct):
    """Memory in MB of 10^6 bytes; `budget_exceeded` compares the estimate with `limit_mb`."""

    process_rss_mb: float
    estimated_models_mb: float
    budget_exceeded: bool
    budget_mb: float
    warning_mb: int
    limit_mb: int


def by_domain(
    known: Known, settings: Settings, states: Sequence[ModelState]
) -> dict[str, NamedModel]:
    """Which model serves text and which code, and whether they are loaded.

    Where the settings name no model for code, that for text embeds code too.
    """
    text = _model(known, settings.model)
    code = _model(known, settings.code_model) if settings.code_model else text
    loaded = {state.artifact.space.model for state in states if state.state == "loaded"}
    return {
        "text": NamedModel(text, text in loaded),
        "code": NamedModel(code, code in loaded),
    }


def ram(settings: Settings, rss_bytes: int, budget_bytes: int, models_mb: float) -> Ram:
    """Memory beside its limits.

    Args:
        settings: They have the limits.
        rss_bytes: Resident memory of this process.
        budget_bytes: Most that it may be.
        models_mb: What its models take, estimated until it was measured.
    """
    return Ram(
        process_rss_mb=round(rss_bytes / 1e6, 1),
        estimated_models_mb=round(models_mb, 1),
        budget_exceeded=models_mb > settings.memory_limit_mb,
        budget_mb=round(budget_bytes / 1e6, 1),
        warning_mb=settings.memory_warning_mb,
        limit_mb=settings.memory_limit_mb,
    )


def estimated_mb(states: Sequence[ModelState]) -> float:
    """Memory of all models that are loaded or loading, in MB of 10^6 bytes."""
    return sum(state.size_bytes for state in states) / 1e6


def _model(known: Known, name: str) -> str:
    """A setting's model by its own name; `auto` is decided when an index is made."""
    if name == AUTO:
        return known.all()[0].name
    try:
        return known.card(name).name
    except UnknownModelError:  # nobody has looked at it yet
        return name
