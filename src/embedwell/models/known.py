"""Every model that has a name here: those of the catalogue, and those that the user brought.

Nothing is fetched and no file of a model is read: what `hf:` and `file:` name is known once
`first_use` has looked at it. See `names` for what a name may be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from embedwell.core.artifact import Quantization
from embedwell.core.errors import UnknownModelError
from embedwell.core.space import Space
from embedwell.models.catalogue import ModelCard, catalogue
from embedwell.models.names import FILE, HUB, REMOTE, Name, parse_name
from embedwell.models.shelf import Shelf


@dataclass(frozen=True)
class Known:
    """The models that can be named.

    Attributes:
        cache: The folder of all model files, which remembers what the user brought.
    """

    cache: Path

    def all(self) -> tuple[ModelCard, ...]:
        """The catalogue's models in its order, then the user's own by name."""
        rows = catalogue()
        own = {one.card.name: one.card for one in self._shelf.brought()}
        return (
            *(self._whole(row) for row in rows.values()),
            *(own[name] for name in sorted(own.keys() - rows.keys())),
        )

    def card(self, name: str) -> ModelCard:
        """The model of that name, whatever its quantization.

        Raises:
            UnknownModelError: There is none.
        """
        return self.named(name)[0]

    def named(self, name: str) -> tuple[ModelCard, Quantization | None]:
        """The model, and the quantization where the name has one.

        Raises:
            UnknownModelError: There is no such model or quantization.
        """
        asked = parse_name(name)
        found = self._find(asked)
        card = self._whole(_from_gguf(found) if asked.gguf else found)
        if asked.dimensions:
            card = _cut(card, asked.dimensions)
        return replace(card, asked=self._own_name(asked, found) + asked.suffix), asked.quantization

    def knows(self, asked: Name) -> bool:
        """Whether there is such a model, whatever its tag.

        A path that is here is known once it was looked at itself: a folder elsewhere may have the
        same name.
        """
        if asked.model.startswith(FILE) and not asked.revision and is_there(place_of(asked)):
            return any(one.asked == key_of(asked) for one in self._shelf.brought())
        try:
            self._find(asked)
        except UnknownModelError:
            return False
        return True

    def name_of(self, space: Space) -> str:
        """The name that finds a stored space's model again, such as `nomic-embed-text-v1.5:256`.

        Where nothing known here has that space, it is the name under which it would be looked at.
        """
        for name in self._names(space):
            try:
                if self.card(name).space == space:
                    return name
            except UnknownModelError:
                continue
        if space.model.startswith(HUB) and space.revision:
            return f"{space.model}#{space.revision}"
        return space.model

    def _names(self, space: Space) -> Iterator[str]:
        by_revision = f"{space.model}#{space.revision}"
        if space.model.startswith(FILE):  # alone it would be the path of what lies here
            names = [by_revision]
        else:
            names = [space.model, by_revision] if space.model.startswith(HUB) else [space.model]
        for name in names:
            yield name
            yield f"{name}:{space.dimensions}"

    def _find(self, asked: Name) -> ModelCard:
        if not asked.revision:
            for row in catalogue().values():
                if asked.model in {row.name, *row.aliases, row.hub_id, f"{HUB}{row.hub_id}"}:
                    return row
        if asked.is_brought:
            return self._brought(asked)
        if asked.model.startswith(REMOTE):
            raise UnknownModelError(
                f"'{asked.model}' is a server's own name.",
                "Set `engine = http` and `remote_url` to embed with that server.",
            )
        names = ", ".join(card.name for card in self.all())
        raise UnknownModelError(
            f"There is no model '{asked.model}' in the catalogue.",
            f"Choose one of: {names}; name your own with `hf:owner/name` or `file:PATH`, or "
            "a server's with `remote:NAME`. `embedwell config` shows where a name was set.",
        )

    def _own_name(self, asked: Name, card: ModelCard) -> str:
        """The model's name, or its place where that name alone finds another one."""
        if asked.is_brought and card.name in catalogue():
            return key_of(asked)
        if not asked.is_brought or asked.revision or self._brought(Name(card.name)) == card:
            return card.name
        return key_of(asked)

    def _brought(self, asked: Name) -> ModelCard:
        newest_first = self._shelf.brought()[::-1]
        for name in (key_of(asked), asked.model):
            for one in newest_first:
                is_named = name in {one.asked, one.card.name}
                if is_named and asked.revision in {"", one.revision, one.card.revision}:
                    return one.card
        is_file = asked.model.startswith(FILE)
        for one in newest_first:  # the same weights in a place of another name
            is_same = one.card.name.startswith(FILE) and asked.revision == one.card.revision
            if is_file and is_same:
                return replace(one.card, name=asked.model)
        # A name from an index has no path, and whoever asks over HTTP is not told which there are.
        raise UnknownModelError(
            f"'{asked.model}{asked.suffix}' was not looked at on this machine yet.",
            "Run `embedwell models pull file:PATH`, with the path that its files have here."
            if is_file
            else f"Run `embedwell models pull {asked.model}{asked.suffix}`.",
        )

    def _whole(self, card: ModelCard) -> ModelCard:
        """A row that has no files of its own stands for its GGUF; recorded hashes are put in."""
        return self._shelf.pinned(card if card.files else _from_gguf(card))

    @property
    def _shelf(self) -> Shelf:
        return Shelf(self.cache)


def place_of(asked: Name) -> Path:
    """The path that `file:PATH` names, from the root and without links.

    Raises:
        UnknownModelError: It can be none, such as that of a user whom this machine does not have.
    """
    try:
        return Path(asked.model.removeprefix(FILE)).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a NUL
        raise UnknownModelError(
            f"'{asked.model}' names no file ({error}).", "Name a file or folder that is."
        ) from error


def is_there(place: Path) -> bool:
    """Whether a path leads to something; not where it is too long or leads through what is shut."""
    try:
        return place.exists()
    except OSError:
        return False


def key_of(asked: Name) -> str:
    """What a brought model is remembered by."""
    return f"{FILE}{place_of(asked)}" if asked.model.startswith(FILE) else asked.model


def in_full(name: str) -> str:
    """The name with its path from the root, where it has one of this machine.

    Whoever works in another folder, as the service does, then finds the same.
    """
    asked = parse_name(name)
    if not asked.model.startswith(FILE) or asked.revision or not is_there(place_of(asked)):
        return name
    level = f"@{asked.quantization}" if asked.quantization else ""
    return f"{key_of(asked)}{asked.suffix}{level}"


def _from_gguf(card: ModelCard) -> ModelCard:
    if card.gguf is not None:
        return replace(card, files={card.gguf.file: card.gguf.pin}, commit="", first_values=None)
    if card.files and card.weights.endswith(".gguf"):
        return card
    raise UnknownModelError(
        f"{card.name} publishes no weights as GGUF.",
        f"Use '{card.name}', or name your own file with `file:PATH`.",
    )


def _cut(card: ModelCard, dimensions: int) -> ModelCard:
    if dimensions == card.dimensions:
        return card
    if dimensions in card.matryoshka:
        return replace(card, dimensions=dimensions, full_dimensions=card.dimensions, matryoshka=())
    lengths = ", ".join(f":{length}" for length in card.matryoshka)
    raise UnknownModelError(
        f"The vectors of {card.name} cannot be cut to {dimensions}: "
        + (f"it was trained for {lengths}." if lengths else "it was not trained for that."),
        f"Use one of {lengths}." if lengths else f"Use '{card.name}' without a length.",
    )
