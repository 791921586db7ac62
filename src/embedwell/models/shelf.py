"""What this machine remembers of models: those that the user brought, and hashes of first use.

`<cache>/models/<name>.json` is a whole card; `<cache>/models/pins/<name>.json` are the hashes and
the commit of a catalogue's model whose row has none.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from embedwell.models.catalogue import ModelCard, PinnedFile
from embedwell.models.scratch import writing

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Pins:
    """What a first use recorded of a catalogue's model.

    Attributes:
        commit: Where its files come from.
        files: Hash and size by published name.
    """

    commit: str
    files: Mapping[str, PinnedFile]


@dataclass(frozen=True)
class Shelf:
    """The cards and hashes in a cache.

    Attributes:
        cache: The folder of all model files and artifacts; made when first written.
    """

    cache: Path

    def cards(self) -> tuple[ModelCard, ...]:
        """The models that the user brought, by name, the newest of each name last."""
        places = sorted(self._folder.glob("*.json"), key=_changed_ns)
        found = [card for place in places if (card := _read(place, ModelCard))]
        return tuple(sorted(found, key=lambda card: card.name))

    def keep(self, card: ModelCard) -> None:
        """Remember a model that the user brought.

        Raises:
            ModelCacheError: The cache cannot be written.
        """
        self._write(self._folder / _file_name(f"{card.name}#{card.revision}", card.name), card)

    def forget(self, card: ModelCard) -> None:
        """Remember a brought model no more. Hashes of the catalogue's models stay.

        Raises:
            ModelCacheError: The cache cannot be written.
        """
        with writing(self.cache):
            place = self._folder / _file_name(f"{card.name}#{card.revision}", card.name)
            place.unlink(missing_ok=True)

    def pinned(self, card: ModelCard) -> ModelCard:
        """The card with the hashes that were recorded, where its row has none."""
        if card.is_pinned:
            return card
        pins = _read(self._pins_of(card), Pins)
        if pins is None or pins.files.keys() != card.files.keys():
            return card
        return replace(card, commit=pins.commit, files=pins.files)

    def pin(self, card: ModelCard) -> None:
        """Record a card's commit and hashes; they are enforced from then on.

        Raises:
            ModelCacheError: The cache cannot be written.
        """
        self._write(self._pins_of(card), Pins(card.commit, card.files))

    @property
    def _folder(self) -> Path:
        return self.cache / "models"

    def _pins_of(self, card: ModelCard) -> Path:
        weights = next(iter(sorted(card.files)), "")
        return self._folder / "pins" / _file_name(f"{card.repository[0]}/{weights}", card.name)

    def _write(self, place: Path, value: ModelCard | Pins) -> None:
        scratch = place.with_name(f".{place.name}.{os.getpid()}")
        with writing(self.cache):
            place.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps(asdict(value), indent=1) + "\n", "utf-8")
            scratch.replace(place)


def plain_name(name: str) -> str:
    """A model's name as part of a file's: `hf:owner/name` becomes `hf--owner--name`."""
    return re.sub(r"[^\w.-]+", "--", name)[:100]


def _file_name(identity: str, shown: str) -> str:
    return f"{plain_name(shown)}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.json"


def _read(place: Path, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(place.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        _log.warning("%s cannot be used and is passed over: %s", place, error)
        return None


def _changed_ns(place: Path) -> int:
    try:
        return place.stat().st_mtime_ns
    except OSError:  # forgotten meanwhile
        return 0
