"""From a model's name to an artifact that can run: found, else pulled, converted and checked."""

from __future__ import annotations

from embedwell.app.choose import engine_for, quantization_for
from embedwell.app.settings import Settings
from embedwell.core.artifact import QUANTIZATIONS, Artifact, Quantization
from embedwell.core.events import Watch
from embedwell.engines.registry import form_of
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.blobs import BlobCache
from embedwell.models.catalogue import ModelCard
from embedwell.models.known import Known
from embedwell.models.source import SourceFiles


def artifact(settings: Settings, name: str, watch: Watch) -> Artifact:
    """The artifact of that name, such as `all-MiniLM-L6-v2@q8`, made now if it is not there.

    Raises:
        ModelError: The model is unknown, cannot be had, or its bytes are wrong.
    """
    model, level = Known(settings.cache).named(name)
    return ensure(settings, model, level or quantization_for(settings, model).quantization, watch)


def ensure(
    settings: Settings, model: ModelCard, quantization: Quantization, watch: Watch
) -> Artifact:
    """An artifact of a model at one quantization, made now if it is not there.

    Raises:
        ModelError: The model cannot be had, or its bytes are wrong.
    """
    kept = ArtifactStore(settings.cache)
    form = form_of(engine_for(settings, model))
    found = kept.find(model, quantization, form)
    if found is not None:
        return found
    source = pull_source(settings, model, watch)
    from embedwell.models.first_values import check_first_values  # noqa: PLC0415 - only to convert

    check_first_values(source)
    return kept.make(source, quantization, watch, form)


def pull_source(settings: Settings, model: ModelCard, watch: Watch) -> SourceFiles:
    """The published files of a model, each with its pinned hash.

    Raises:
        ModelError: No mirror could give them.
    """
    from embedwell.models.files import mirrors, pull  # noqa: PLC0415 - only needed once a machine

    return pull(model, mirrors(settings.cache, settings.model_files), watch)


def remove(settings: Settings, name: str, quantization: Quantization | None) -> int:
    """Remove a model's artifacts; without a quantization all of them and its published files.

    Returns:
        Bytes that this freed.

    Raises:
        UnknownModelError: The catalogue has no such model.
        ModelCacheError: The cache cannot be written.
    """
    model = Known(settings.cache).card(name)
    kept = ArtifactStore(settings.cache)
    if quantization is not None:
        return kept.remove(model, quantization)
    freed = sum(kept.remove(model, level) for level in QUANTIZATIONS)
    return freed + BlobCache(settings.cache).remove(model)
