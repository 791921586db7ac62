"""The published files of a model, once they are on this machine with their hashes checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedwell.models.catalogue import ModelCard


@dataclass(frozen=True)
class SourceFiles:
    """Where each published file lies.

    Attributes:
        card: The model.
        paths: Local path by published name, every one with its pinned hash.
        mirror: Where they came from: `cache`, `hub`, `wheel` or `local`.
        recipes: Folder of the user's own recipes, which go before those of the package.
    """

    card: ModelCard
    paths: Mapping[str, Path]
    mirror: str
    recipes: Path | None = None
