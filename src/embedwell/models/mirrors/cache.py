"""The first mirror: what this machine already has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedwell.core.events import Watch
from embedwell.models.blobs import BlobCache
from embedwell.models.catalogue import ModelCard
from embedwell.models.mirrors.protocol import Answer
from embedwell.models.scratch import Scratch


@dataclass(frozen=True)
class CacheMirror:
    """Files that were checked and kept by an earlier pull."""

    blobs: BlobCache
    name: str = "cache"
    lasting: bool = True

    def fetch(
        self, card: ModelCard, names: Sequence[str], scratch: Scratch, watch: Watch
    ) -> Answer:
        """Look each file up by its hash."""
        del scratch, watch
        paths = {name: self.blobs.path(card.files[name]) for name in names}
        held = {name: path for name, path in paths.items() if path.is_file()}
        missing = [name for name in names if name not in held]
        return Answer(held, f"does not have {', '.join(missing)}" if missing else "")
