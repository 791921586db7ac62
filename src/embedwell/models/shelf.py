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
        commit: Where its files come from; empty where they did not come from the hub.
        files: Hash and size by name.
        place: The file that the user gave in place of the published ones, if one was.
    """

    commit: str
    files: Mapping[str, PinnedFile]
    place: str = ""


@dataclass(frozen=True)
class Brought:
    """A model that the user brought.

    Attributes:
        asked: What it was named by: `hf:owner/name`, or `file:` with a path from the root.
        card: What is known of it; a catalogue's row with other files where it is that model.
        revision: The branch or tag that it was named with, if it was.
    """

    asked: str
    card: ModelCard
    revision: str = ""


@dataclass(frozen=True)
class Shelf:
    """The cards and hashes in a cache.

    Attributes:
        cache: The folder of all model files and artifacts; made when first written.
    """

    cache: Path

    def brought(self) -> tuple[Brought, ...]:
        """What the user brought, the newest last."""
        places = sorted(self._folder.glob("*.json"), key=_changed_ns)
        return tuple(found for place in places if (found := _read(place, Brought)))

    def keep(self, found: Brought) -> None:
        """Remember a model that the user brought.

        Raises:
            ModelCacheError: The cache cannot be written.
        """
        self._write(self._place_of(found), found)

    def forget(self, card: ModelCard) -> None:
        """Remember a brought model, or a file that stands in for a published one, no more.

        Hashes that a hub published stay: they are enforced for as long as the cache lives. Those
        of a folder that the user named go, since it may have been the wrong one.

        Raises:
            ModelCacheError: The cache cannot be written.
        """
        gone = [self._place_of(one) for one in self.brought() if _is_same(one.card, card)]
        gone += [
            place
            for place in (self._folder / "pins").glob("*.json")
            if card.place and (pins := _read(place, Pins)) and pins.place == card.place
        ]
        own = _read(self._pins_of(card), Pins)
        if own is not None and not own.commit:
            gone.append(self._pins_of(card))
        for place in gone:
            with writing(self.cache):
                place.unlink(missing_ok=True)

    def pinned(self, card: ModelCard) -> ModelCard:
        """The card with what was recorded: hashes that its row lacks, or a file that stands in."""
        pins = _read(self._pins_of(card), Pins)
        if pins is None:
            return card
        if pins.place:
            return replace(card, files=pins.files, place=pins.place, first_values=None)
        if card.is_pinned or pins.files.keys() != card.files.keys():
            return card
        return replace(card, commit=pins.commit, files=pins.files)

    def pin(self, row: ModelCard, pins: Pins) -> None:
        """Record a row's commit and hashes; they are enforced from then on.

        Raises:
            ModelCacheError: The cache cannot be written.
        """
        self._write(self._pins_of(row), pins)

    @property
    def _folder(self) -> Path:
        return self.cache / "models"

    def _place_of(self, found: Brought) -> Path:
        identity = f"{found.asked}#{found.card.revision}"
        if found.revision:
            identity += f"#{found.revision}"
        return self._folder / _file_name(identity, found.asked)

    def _pins_of(self, row: ModelCard) -> Path:
        name = "gguf" if any(name.endswith(".gguf") for name in row.files) else "published"
        return self._folder / "pins" / _file_name(f"{row.name} {name}", row.name)

    def _write(self, place: Path, value: Brought | Pins) -> None:
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


def _is_same(one: ModelCard, other: ModelCard) -> bool:
    return (one.name, one.revision, one.place) == (other.name, other.revision, other.place)


def _changed_ns(place: Path) -> int:
    try:
        return place.stat().st_mtime_ns
    except OSError:  # forgotten meanwhile
        return 0
