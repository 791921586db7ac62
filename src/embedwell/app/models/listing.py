"""What there is to choose from, as people see it: each model with what it takes here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from embedwell.app.config.settings import Settings
from embedwell.app.models.choose import quantization_for
from embedwell.core.artifact import QUANTIZATIONS, Artifact, Quantization
from embedwell.engines.registry import runs
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.catalogue import ModelCard
from embedwell.models.known import Known
from embedwell.runtime.needs import estimated_model_bytes

_FEW = 4


@dataclass(frozen=True)
class Listed:
    """A model that can be named.

    Attributes:
        card: What is known of it.
        quantization: The level that this machine and its settings take.
        ram_bytes: Memory that it is expected to take, by level, beside the process itself.
        here: Bytes on disk of what was made of it on this machine, by level.
    """

    card: ModelCard
    quantization: Quantization
    ram_bytes: Mapping[Quantization, int]
    here: Mapping[Quantization, int]

    @property
    def languages(self) -> str:
        """The codes of a few languages, or how many they are."""
        codes = self.card.languages
        return " ".join(codes) if 0 < len(codes) <= _FEW else f"{len(codes) or 'unknown'}"

    @property
    def standing(self) -> str:
        """Whether it was run by its makers here on its real weights."""
        return "verified" if self.card.verified else "unverified"


def listed(settings: Settings, card: ModelCard) -> Listed:
    """One model, with what it takes here."""
    return _listed(settings, card, ArtifactStore(settings.cache).list())


def all_listed(settings: Settings) -> list[Listed]:
    """Every model that can be named."""
    here = ArtifactStore(settings.cache).list()
    return [_listed(settings, card, here) for card in Known(settings.cache).all()]


def _listed(settings: Settings, card: ModelCard, here: Sequence[Artifact]) -> Listed:
    return Listed(
        card,
        quantization_for(settings, card).quantization,
        ram(card),
        {one.quantization: one.size_bytes for one in here if one.space == card.space},
    )


def ram(card: ModelCard) -> dict[Quantization, int]:
    """Memory that a model is expected to take at each level, beside the process itself."""
    width = card.full_dimensions or card.dimensions
    return {
        level: estimated_model_bytes(card.n_parameters, card.vocabulary * width, width, level)
        for level in QUANTIZATIONS
        if card.architecture != "static" or runs("static", level)
    }
