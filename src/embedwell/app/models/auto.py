"""`model = auto`: what is here or can be had is looked at, and one model is named."""

from __future__ import annotations

import logging
from pathlib import Path

from msgspec import structs

from embedwell.app.config.settings import Settings
from embedwell.app.models.choose import AUTO, ModelChoice, choose_model
from embedwell.app.models.obtain import pull_source
from embedwell.core.device import available_memory_bytes
from embedwell.core.errors import ModelUnavailableError, SettingsError
from embedwell.core.events import Watch
from embedwell.models.artifacts import ArtifactStore
from embedwell.models.blobs import BlobCache
from embedwell.models.catalogue import ModelCard
from embedwell.models.known import Known

_log = logging.getLogger("embedwell")


def with_model(settings: Settings, watch: Watch) -> tuple[Settings, ModelChoice | None]:
    """Settings that name a model: `auto` is replaced by what is chosen now.

    Files of the chosen model are pulled where they are not here.

    Returns:
        The settings, and the choice; None where a model was named already.

    Raises:
        ModelUnavailableError: No model is here or can be had.
        SettingsError: Another program's server has the models: nothing here chooses among them.
        TaskCancelledError: `watch` was asked to stop.
    """
    if settings.model != AUTO:
        return settings, None
    if settings.engine == "http":
        raise SettingsError(
            "`model = auto` does not say which of the server's models is meant (`engine = http`).",
            "Name one of the catalogue that it serves, or `remote:` and the server's own name.",
        )
    faults: dict[str, ModelUnavailableError] = {}
    found = choose_model(
        Known(settings.cache).all(),
        available_memory_bytes(),
        lambda model: is_present(settings.cache, model),
        lambda model: _can_be_pulled(settings, model, watch, faults),
    )
    if found is None:
        raise next(iter(faults.values()))
    _log.info("%s", found.reason)
    return structs.replace(settings, model=found.name), found


def is_present(cache: Path, model: ModelCard) -> bool:
    """Whether a model's artifact or its published files are on this machine."""
    if any(found.space == model.space for found in ArtifactStore(cache).list()):
        return True
    return all(BlobCache(cache).path(pin).is_file() for pin in model.files.values())


def _can_be_pulled(
    settings: Settings,
    model: ModelCard,
    watch: Watch,
    faults: dict[str, ModelUnavailableError],
) -> bool:
    try:
        pull_source(settings, model, watch)
    except ModelUnavailableError as error:
        faults[model.name] = error
        return False
    return True
