"""From a model's name to an artifact that can run: found, else pulled, converted and checked."""

from __future__ import annotations

import logging
from pathlib import Path

from msgspec import structs

from embedwell.app.config.settings import Settings
from embedwell.app.models.choose import engine_for, quantization_for
from embedwell.core.artifact import QUANTIZATIONS, Artifact, Quantization
from embedwell.core.errors import EngineError
from embedwell.core.events import Watch
from embedwell.engines.registry import form_of
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.blobs import BlobCache
from embedwell.models.catalogue import ModelCard, catalogue
from embedwell.models.known import Known
from embedwell.models.names import REMOTE, parse_name
from embedwell.models.shelf import Shelf
from embedwell.models.source import SourceFiles

_log = logging.getLogger("embedwell")


def artifact(settings: Settings, name: str, watch: Watch) -> Artifact:
    """The artifact of that name, such as `all-MiniLM-L6-v2@q8`, made now if it is not there.

    Raises:
        ModelError: The model is unknown, cannot be had, or its bytes are wrong.
    """
    model, level = named(settings, name, watch)
    return ensure(settings, model, level or quantization_for(settings, model).quantization, watch)


def named(settings: Settings, name: str, watch: Watch) -> tuple[ModelCard, Quantization | None]:
    """The model, and the quantization where the name has one, as `Known.named` gives them.

    What `hf:` and `file:` name is looked at and remembered, where nobody did yet. Only what a
    person named may come here: whoever else could have files and repositories read.

    Raises:
        ModelError: There is no such model, or its repository or file cannot be looked at.
        RemoteError: It is a server's own, and that does not answer as it must.
        TaskCancelledError: The watch asked to stop.
    """
    if settings.engine == "http" and name.startswith(REMOTE):
        from embedwell.app.models.remote import own_card  # noqa: PLC0415 - only what a server knows

        return own_card(structs.replace(settings, model=name), watch), None
    known = Known(settings.cache)
    asked = parse_name(name)
    if asked.is_brought and not known.knows(asked):
        from embedwell.models.first_use import FirstUse  # noqa: PLC0415 - once for each such model

        FirstUse(settings.cache, watch).bring(asked)
    card, level = known.named(name)
    return _stood_in(settings, card, watch), level


def ensure(
    settings: Settings, model: ModelCard, quantization: Quantization, watch: Watch
) -> Artifact:
    """An artifact of a model at one quantization, made now if it is not there.

    Raises:
        ModelError: The model cannot be had, or its bytes are wrong.
        EngineError: It is a network, and the engine of the settings runs tables only.
    """
    kept = ArtifactStore(settings.cache)
    form = form_of(engine_for(settings, model))
    found = kept.find(model, quantization, form)
    if found is not None:
        return found
    if form == "static" and model.architecture != "static":
        raise EngineError(
            f"The engine 'static' runs tables of token vectors, and {model.called} is a network.",
            f"Set `engine` to onnx, or make a table: `embedwell models distill {model.name}`.",
        )
    source = pull_source(settings, model, watch)
    from embedwell.models.first_values import check_first_values  # noqa: PLC0415 - only to convert

    check_first_values(source)
    if not model.verified and model.architecture != "static":  # a table has no network to be wrong
        _log.warning(
            "%s is unverified: nobody ran it here on its published weights. Compare its results "
            "with those of another program before you rely on it.",
            model.called,
        )
    return kept.make(source, quantization, watch, form)


def pull_source(settings: Settings, model: ModelCard, watch: Watch) -> SourceFiles:
    """The published files of a model, each with its pinned hash.

    A hash that the catalogue does not have is recorded now.

    Raises:
        ModelError: No mirror could give them.
    """
    from embedwell.models.files import mirrors, pull  # noqa: PLC0415 - only needed once a machine
    from embedwell.models.first_use import FirstUse  # noqa: PLC0415 - the same

    local = Path(model.place) if model.place else settings.model_files
    model = FirstUse(settings.cache, watch).pin(model, local)
    return pull(model, mirrors(settings.cache, local), watch)


def remove(settings: Settings, name: str, quantization: Quantization | None) -> int:
    """Remove a model's artifacts; without a quantization all of them and its published files.

    A model that the user brought is forgotten then, and so is a file that stood in for others.
    Files that other models here have as well stay.

    Args:
        settings: They name the cache.
        name: Of the model; a quantization in it counts as one.
        quantization: The only artifact to remove.

    Returns:
        Bytes that this freed.

    Raises:
        UnknownModelError: The catalogue has no such model.
        ModelCacheError: The cache cannot be written.
    """
    known = Known(settings.cache)
    model, level = known.named(name)
    kept = ArtifactStore(settings.cache)
    if quantization := quantization or level:
        return kept.remove(model, quantization)
    freed = sum(kept.remove(model, level) for level in QUANTIZATIONS)
    shelf = Shelf(settings.cache)
    shelf.forget(model)
    left = (*known.all(), *(one.card for one in shelf.brought()))
    others = [card for card in left if (card.name, card.revision) != (model.name, model.revision)]
    return freed + BlobCache(settings.cache).remove(model, others)


def _stood_in(settings: Settings, card: ModelCard, watch: Watch) -> ModelCard:
    """A catalogue's model with the weights of the GGUF file in `model_files`, from now on."""
    file = settings.model_files
    if file is None or file.suffix != ".gguf" or card.place == str(file.resolve()):
        return card
    if card.name not in catalogue():
        return card
    from embedwell.models.first_use import FirstUse  # noqa: PLC0415 - once for each such file

    return FirstUse(settings.cache, watch).stand_in(card, file)
