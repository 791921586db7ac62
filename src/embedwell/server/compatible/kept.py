"""What is on this machine, as both dialects list it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedwell.core.artifact import Artifact
from embedwell.core.errors import UnknownModelError
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.catalogue import ModelCard

if TYPE_CHECKING:
    from embedwell.server.shared.service import Service


def kept_models(service: Service) -> list[tuple[ModelCard, Artifact]]:
    """Every artifact with its model.

    Left out are those whose model cannot be named here, as when another version of embedwell,
    which shares the cache, made them.
    """
    found: list[tuple[ModelCard, Artifact]] = []
    for artifact in ArtifactStore(service.settings.cache).list():
        try:
            found.append((service.runtime.card(artifact.space.model), artifact))
        except UnknownModelError:
            continue
    return found
