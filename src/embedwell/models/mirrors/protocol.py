"""What every mirror does: name the local paths of published files, or say why it cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from embedwell.core.events import Watch
from embedwell.models.catalogue import ModelCard
from embedwell.models.scratch import Scratch


@dataclass(frozen=True)
class Answer:
    """What a mirror gave.

    Attributes:
        paths: Local path by published name, of the files it has. Nobody checked their hashes yet.
        reason: Why the others are missing, as a clause; empty where none is.
    """

    paths: Mapping[str, Path] = field(default_factory=dict)
    reason: str = ""


class Mirror(Protocol):
    """A place that may have a model's files."""

    @property
    def name(self) -> str:
        """What messages call it: `cache`, `hub`, `wheel` or `local`."""
        ...

    @property
    def lasting(self) -> bool:
        """Whether its files stay where they are, so that naming their place is enough.

        Files of other mirrors are copied into the cache where they cannot be linked.
        """
        ...

    def fetch(
        self, card: ModelCard, names: Sequence[str], scratch: Scratch, watch: Watch
    ) -> Answer:
        """Bring files onto this machine.

        Args:
            card: The model.
            names: The published files that are wanted.
            scratch: Where to download to; the caller moves files away from there.
            watch: Told of each step as `download` in bytes.

        Raises:
            ModelCacheError: The cache is full or cannot be written.
            TaskCancelledError: The watch asked to stop.
        """
        ...
