"""May vectors of a space meet those of a store?"""

from __future__ import annotations

from dataclasses import asdict

from embedwell.core.errors import SpaceMismatchError
from embedwell.core.space import Space
from embedwell.stores.protocol import CollectionSettings


def admit(settings: CollectionSettings, space: Space) -> None:
    """Refuse another space than the store's, before a vector is written or compared.

    Args:
        settings: The store's.
        space: Of the vectors that would be written or compared.

    Raises:
        SpaceMismatchError: The declarations differ; the message names each field that does.
    """
    if settings.space == space:
        return
    maker = f", made by {settings.made_by}," if settings.made_by else ""
    raise SpaceMismatchError(
        f"The index holds vectors of {_named(settings.space)}{maker} and was asked with "
        f"{_named(space)}; they differ in {_differences(settings.space, space)}.",
        f"Use the model of the index (`--model {settings.space.model}`), or index again into "
        "another file (`--db FILE`).",
    )


def _named(space: Space) -> str:
    return f"{space.model} (space {space.id[:12]}, {space.dimensions} dimensions)"


def _differences(stored: Space, asked: Space) -> str:
    asked_fields = asdict(asked)
    return "; ".join(
        f"{name}: {value!r} in the index, {asked_fields[name]!r} asked"
        for name, value in asdict(stored).items()
        if value != asked_fields[name]
    )
