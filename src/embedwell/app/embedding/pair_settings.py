"""Two models in one index: their lengths in their names, and what an index may not be asked for."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import structs

from embedwell.app.config.settings import Settings
from embedwell.app.models.choose import AUTO
from embedwell.app.models.obtain import named
from embedwell.core.errors import SettingsError, SpaceMismatchError, UnknownModelError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.models.known import Known
from embedwell.stores.protocol import CollectionSettings

_LENGTHS = {"model": "dimensions", "code_model": "code_dimensions"}
"""The setting that says how long a model's vectors are to be."""


def with_lengths(settings: Settings, models: Collection[str] = _LENGTHS) -> Settings:
    """Settings whose models have the configured lengths of vectors in their names.

    Args:
        settings: What the user chose.
        models: Which of the models are looked at.

    Raises:
        SettingsError: A model's vectors have another length and cannot be cut to that; the
            message lists each setting.
        UnknownModelError: There is no such model.
    """
    known = Known(settings.cache)
    changed, faults = {}, []
    for field in sorted(_LENGTHS.keys() & set(models)):
        name, dimensions = getattr(settings, field), getattr(settings, _LENGTHS[field])
        if not dimensions or name in {"", AUTO}:
            continue
        card, level = named(settings, name, Watch())
        if card.dimensions == dimensions:
            continue
        cut = f"{card.called}:{dimensions}" + (f"@{level}" if level else "")
        try:
            known.card(cut)
        except UnknownModelError as error:
            faults.append(f"{_LENGTHS[field]} is {dimensions}: {error.problem}")
        changed[field] = cut
    if faults:
        raise SettingsError(
            " ".join(faults),
            "Name another model, or leave the length out; `embedwell config` shows its origin.",
        )
    return structs.replace(settings, **changed)


def of_index(settings: Settings, stored: CollectionSettings, given: Collection[str]) -> Settings:
    """The settings for an index that is there: it knows its own models.

    Args:
        settings: What the user chose.
        stored: What the index was made for.
        given: Names of the settings that the user gave: a model among them is compared with the
            index's when it is first needed.
    """
    known = Known(settings.cache)
    own = [name for name in _LENGTHS if name in given and getattr(settings, name) != AUTO]
    if "model" not in own:
        settings = structs.replace(settings, model=known.name_of(stored.space))
    if stored.code is None:
        settings = structs.replace(settings, code_model="")
    elif "code_model" not in own:
        settings = structs.replace(settings, code_model=known.name_of(stored.code.space))
    return with_lengths(settings, own)


def unused_code_model(settings: Settings, stored: CollectionSettings) -> str:
    """What to tell of a code model that an index does not have; empty where all is as it is set.

    Args:
        settings: What the user chose.
        stored: What the index was made for.
    """
    name = settings.code_model
    if not name or stored.code is not None:
        return ""
    try:
        if Known(settings.cache).named(name)[0].space == stored.space:
            return ""
    except UnknownModelError:  # then it is not the index's either
        pass
    return (
        f"The code model {name} is not used: this index has one model for text and code. "
        f"`embedwell migrate --code {name}` gives it a second one."
    )


def check_lengths(settings: Settings, main: Space, code: Space | None) -> None:
    """Refuse lengths of vectors that an index does not have.

    Raises:
        SpaceMismatchError: They differ; the message lists each setting.
    """
    asked = ((settings.dimensions, main), (settings.code_dimensions, code))
    faults = [
        f"{name} is {dimensions}, and the index holds vectors of {space.model} with "
        f"{space.dimensions}"
        for name, (dimensions, space) in zip(_LENGTHS.values(), asked, strict=True)
        if space is not None and dimensions not in {0, space.dimensions}
    ]
    if faults:
        raise SpaceMismatchError(
            f"{'; '.join(faults)}.",
            "Move the index over by a migration (`embedwell migrate`), or leave the length out; "
            "`embedwell config` shows where it is set.",
        )
