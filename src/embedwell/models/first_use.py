"""The first use of a model whose hashes nobody pinned: it is looked at, and remembered.

What the hub publishes (the commit, and the SHA-256 of every big file) is recorded, and the hash of
the small files as they came. From then on other bytes are refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

from embedwell.core.errors import ConversionError, ModelUnavailableError, WrongBytesError
from embedwell.core.events import Watch
from embedwell.models.blobs import sha256_of
from embedwell.models.catalogue import GgufSource, ModelCard, PinnedFile, catalogue
from embedwell.models.description import CONFIG, MODULES, TOKENIZER, describe, tells
from embedwell.models.known import is_there, key_of, place_of
from embedwell.models.laid_out import (
    WEIGHTS,
    files_in,
    is_gguf,
    refuse_missing,
    refuse_pointers,
    weights_among,
)
from embedwell.models.mirrors.hub import HubMirror
from embedwell.models.names import FILE, HUB, Name
from embedwell.models.scratch import Scratch
from embedwell.models.shelf import Brought, Pins, Shelf
from embedwell.models.source import SourceFiles

# Weights have about four or two bytes a parameter, and less than that only in GGUF.
_TOLERANCE = 0.05
# Weights beside the table of words: twelve layers of 384 have 21 million, of 768 85 million.
_SMALL, _MIDDLE = 50_000_000, 200_000_000


@dataclass(frozen=True)
class FirstUse:
    """Looks at models for the first time.

    Attributes:
        cache: The folder of all model files and artifacts.
        watch: Told of downloads; may stop them.
        hub: Whom to ask.
    """

    cache: Path
    watch: Watch
    hub: HubMirror = field(default_factory=HubMirror)

    def bring(self, asked: Name) -> ModelCard:
        """Describe and remember what `hf:` or `file:` names.

        A file whose bytes are a catalogue's model, or a GGUF file that says it was made from one,
        is that model.

        Raises:
            ModelUnavailableError: There is no such repository, file or folder, or it has no
                weights that can be read; the message says what would help.
            ConversionError: It is no network, or has a part, that is not known here.
            WrongBytesError: A file of it is damaged.
            TaskCancelledError: The watch asked to stop.
        """
        try:
            card = self._of_hub(asked) if asked.model.startswith(HUB) else self._of_place(asked)
        except (ConversionError, WrongBytesError) as error:
            raise type(error)(
                f"{asked.model} cannot be used: {error.problem}", error.remedy
            ) from error
        except OSError as error:
            raise ModelUnavailableError(
                f"{asked.model} cannot be used: {error.filename} cannot be read "
                f"({error.strerror}).",
                "Make it readable, or name a copy of it.",
            ) from error
        Shelf(self.cache).keep(Brought(key_of(asked), card, asked.revision))
        return card

    def pin(self, card: ModelCard, local: Path | None) -> ModelCard:
        """A catalogue's model with all hashes, recorded now where its row has none.

        Args:
            card: The model.
            local: Folder that the user named; what it holds is recorded where no hub answers.

        Raises:
            ModelUnavailableError: No hub answers and the folder does not have it.
            WrongBytesError: A file has another hash than the one that its row has.
            ConversionError: The model's own files contradict its row.
            TaskCancelledError: The watch asked to stop.
        """
        if card.is_pinned:
            return card
        with Scratch(self.cache) as scratch:
            listing = self.hub.listing(card.repository, scratch, self.watch)
            if listing.commit:
                refuse_missing(card.repository[0], card.files, listing.files)
                repository = (card.repository[0], listing.commit)
                files, paths = self._hashed(repository, card.files, listing.files, scratch)
                _check(card, paths, files)
            else:
                files = self._in_folder(card, local, f"hub: {listing.reason}")
        _refuse_others(card, files)
        Shelf(self.cache).pin(card, Pins(listing.commit, files))
        return replace(card, commit=listing.commit, files=files)

    def stand_in(self, card: ModelCard, file: Path) -> ModelCard:
        """A catalogue's model with the weights of a GGUF file that the user gives for it.

        Raises:
            WrongBytesError: The file is damaged, or is another model's.
            ConversionError: It is no network that is known here.
        """
        found = _card_of_gguf(file, card.name)
        whole = card.full_dimensions or card.dimensions
        theirs = (found.dimensions, found.pooling if found.head == "embedding" else card.pooling)
        if theirs != (whole, card.pooling) or not _is_near(found.n_parameters, card.n_parameters):
            raise WrongBytesError(
                f"{file} has {found.n_parameters:,} parameters, {found.dimensions} dimensions and "
                f"pooling {found.pooling}, expected {card.n_parameters:,}, {whole} and "
                f"{card.pooling} of {card.name}.",
                f"Name the file by itself with `file:{file}`.",
            )
        files = {file.name: self._pin_of(file)}
        shelf = Shelf(self.cache)
        shelf.pin(card, Pins("", files, str(file.resolve())))
        return shelf.pinned(card)

    def _of_hub(self, asked: Name) -> ModelCard:
        owner, name, *rest = asked.model.removeprefix(HUB).split("/", 2)
        repository = f"{owner}/{name}"
        with Scratch(self.cache) as scratch:
            listing = self.hub.listing((repository, asked.revision or "main"), scratch, self.watch)
            if not listing.commit:
                raise ModelUnavailableError(
                    f"{asked.model} cannot be looked at: the hub {listing.reason}.",
                    "Check its name, connect to the hub, or bring its files and name their folder "
                    "with `file:PATH`.",
                )
            at = (repository, listing.commit)
            weights = weights_among(asked.model, listing.files, rest[0] if rest else "")
            wanted = [*weights] if is_gguf(weights) else [CONFIG, TOKENIZER, *weights]
            refuse_missing(repository, wanted, listing.files)
            files, paths = self._hashed(at, wanted, listing.files, scratch)
            if is_gguf(weights):
                whole = self._download(at, weights, listing.files, scratch)
                card = _card_of_gguf(whole[weights[0]], asked.model)
            else:
                size = sum(listing.files[file].size_bytes for file in weights)
                card = describe(asked.model, _contents(paths), size)
        found = replace(card, revision=listing.commit, files=files)
        return _as_catalogued(found, repository, has_modules=MODULES in listing.files)

    def _of_place(self, asked: Name) -> ModelCard:
        place = place_of(asked)
        if not is_there(place):
            raise ModelUnavailableError(
                f"There is no {place} that can be read.", "Name a file or folder that is."
            )
        if not place.is_dir() and place.suffix not in WEIGHTS:
            raise ModelUnavailableError(
                f"{place} is neither a folder nor weights in a form that is read here.",
                f"Name a folder, or a file that ends in {' or '.join(WEIGHTS)}.",
            )
        folder = place if place.is_dir() else place.parent
        paths = {path.relative_to(folder).as_posix(): path for path in files_in(folder)}
        sizes = {file: PinnedFile("", path.stat().st_size) for file, path in paths.items()}
        weights = weights_among(asked.model, sizes, "" if folder == place else place.name)
        name = f"{FILE}{place.name if folder == place else place.stem}"
        if is_gguf(weights):
            wanted = weights
            card = _card_of_gguf(paths[weights[0]], name)
        else:
            wanted = [CONFIG, TOKENIZER, *weights]
            refuse_missing(str(folder), wanted, sizes)
            content = {file: path.read_bytes() for file, path in paths.items() if tells(file)}
            card = describe(name, content, sum(sizes[file].size_bytes for file in weights))
        refuse_pointers([paths[file] for file in wanted])
        files = {file: self._pin_of(paths[file]) for file in wanted}
        hashes = "".join(files[file].sha256 for file in weights)
        revision = hashes if len(weights) == 1 else sha256(hashes.encode()).hexdigest()
        found = replace(card, revision=revision[:40], files=files)
        if not is_gguf(weights) and card.architecture != "static":
            _refuse_unfit(SourceFiles(found, paths, "local"))
        return replace(_as_catalogued(found, "", has_modules=MODULES in paths), place=str(folder))

    def _hashed(
        self,
        repository: tuple[str, str],
        wanted: Collection[str],
        listed: Mapping[str, PinnedFile],
        scratch: Scratch,
    ) -> tuple[dict[str, PinnedFile], Mapping[str, Path]]:
        """Hashes of files of the hub, what it publishes or else of the small file itself.

        Returns:
            The hashes, and where the small files that describe the model are.
        """
        unknown = {name for name in wanted if not listed[name].sha256}
        telling = {name for name in listed if tells(name)} if not is_gguf(wanted) else set()
        paths = self._download(repository, sorted(unknown | telling), listed, scratch)
        pins = {
            name: self._pin_of(paths[name]) if name in unknown else listed[name] for name in wanted
        }
        return pins, {name: paths[name] for name in telling}

    def _download(
        self,
        repository: tuple[str, str],
        names: Collection[str],
        listed: Mapping[str, PinnedFile],
        scratch: Scratch,
    ) -> Mapping[str, Path]:
        if not names:
            return {}
        sizes = {name: listed[name].size_bytes for name in names}
        answer = self.hub.download(repository, sizes, scratch, self.watch)
        if answer.reason:
            raise ModelUnavailableError(
                f"{repository[0]} cannot be looked at: the hub {answer.reason}.",
                "Connect to the hub, or bring its files and name their folder with `file:PATH`.",
            )
        return answer.paths

    def _in_folder(self, card: ModelCard, local: Path | None, reason: str) -> dict[str, PinnedFile]:
        paths = {name: local / name for name in card.files} if local is not None else {}
        missing = [name for name in card.files if local is None or not paths[name].is_file()]
        if missing:
            lacking = f"{local} has no {', '.join(missing)}; " if local is not None else ""
            raise ModelUnavailableError(
                f"The files of {card.name} cannot be had: {lacking}{reason}.",
                "Connect to the hub once, or bring the files on a disk and name their folder with "
                "the setting `model_files`.",
            )
        files = {name: self._pin_of(path) for name, path in paths.items()}
        size = files[card.weights].size_bytes
        wrong = ""
        if not any(_is_near(size, card.n_parameters * each) for each in (4, 2)):
            wrong = f"its {card.weights} has {size:,} bytes for {card.n_parameters:,} parameters"
        elif local is not None:
            told = {path.relative_to(local).as_posix(): path for path in files_in(local)}
            wrong = _contradiction(card, told, files)
        if wrong:
            raise ModelUnavailableError(
                f"{local} does not hold {card.name}: {wrong}; {reason}.",
                f"Name a folder that holds {', '.join(card.files)} of {card.hub_id}.",
            )
        return files

    def _pin_of(self, path: Path) -> PinnedFile:
        return PinnedFile(sha256_of(path, self.watch), path.stat().st_size)


def _check(row: ModelCard, paths: Mapping[str, Path], pins: Mapping[str, PinnedFile]) -> None:
    """Compare a row that nobody ran yet with what the model's own files say."""
    if not row.verified and paths and (wrong := _contradiction(row, paths, pins)):
        raise ConversionError(
            f"The catalogue has another {row.name}: {wrong}.",
            f"Name it `hf:{row.hub_id}#{row.revision}`: then its files decide.",
        )


def _contradiction(
    row: ModelCard, paths: Mapping[str, Path], pins: Mapping[str, PinnedFile]
) -> str:
    """What the files of a model say of it that its row does not; empty where they agree."""
    if row.architecture == "static":
        return ""
    telling = {name: path for name, path in paths.items() if tells(name)}
    found = describe(row.name, _contents(telling), pins[row.weights].size_bytes)
    compared = ["architecture", "dimensions", "head"]
    if row.head == "embedding" and MODULES in telling:  # else the pooling is a guess
        compared.append("pooling")
    for what in compared:
        if (theirs := getattr(found, what)) != (ours := getattr(row, what)):
            return f"its {what} is {theirs}, expected {ours}"
    return ""


def _refuse_others(row: ModelCard, files: Mapping[str, PinnedFile]) -> None:
    """Hold the hashes that a row has already."""
    for name, pin in row.files.items():
        if pin.sha256 and pin.sha256 != files[name].sha256:
            raise WrongBytesError(
                f"{name} of {row.name} has SHA-256 {files[name].sha256}, expected {pin.sha256}.",
                "Take the file from another place.",
            )


def _contents(paths: Mapping[str, Path]) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in paths.items()}


def _card_of_gguf(path: Path, name: str) -> ModelCard:
    from embedwell.models.gguf.card import card_of_gguf  # noqa: PLC0415 - few models need it

    return card_of_gguf(path, name)


def _as_catalogued(card: ModelCard, repository: str, *, has_modules: bool) -> ModelCard:
    """The catalogue's row with these files, where they are that model's; else the card.

    Args:
        card: What the files say; `hub_id` is what a GGUF file says that it was made from.
        repository: Of the hub, where they come from there.
        has_modules: Whether a list of modules comes with them: else the pooling is a guess.
    """
    tells_pooling = card.head == "embedding" and (has_modules or is_gguf(card.files))
    for row in catalogue().values():
        if tells_pooling and card.pooling != row.pooling:
            continue
        pin = row.files.get(row.weights) if row.files else None
        if pin is not None and pin.sha256 and pin in card.files.values():
            return replace(row, files=card.files)
        is_near = _is_near(card.n_parameters, row.n_parameters)
        if row.hub_id == card.hub_id and row.dimensions == card.dimensions and is_near:
            file, pin = next(iter(card.files.items()))
            gguf = GgufSource(repository, card.revision, file, pin)
            return replace(row, files=card.files, gguf=gguf, first_values=None)
    return replace(card, hub_id=card.hub_id or repository, latency=_latency(card))


def _latency(card: ModelCard) -> Literal["instant", "low", "medium", "high"]:
    """The class that the catalogue has for models of about this size.

    A reranker reads many pairs for a query. The table of words is looked up, not multiplied.
    """
    if card.architecture == "static":
        return "instant"
    multiplied = card.n_parameters - card.vocabulary * card.dimensions
    if multiplied < _SMALL:
        return "low" if card.head == "embedding" else "medium"
    return "medium" if multiplied < _MIDDLE and card.head == "embedding" else "high"


def _refuse_unfit(source: SourceFiles) -> None:
    """Refuse weights or a tokenizer of another network before they are remembered."""
    from embedwell.models.opening import open_network  # noqa: PLC0415 - folders only
    from embedwell.models.tokenizer_file import check_tokenizer  # noqa: PLC0415 - the same

    with open_network(source) as (config, _):
        check_tokenizer(source.paths[TOKENIZER], config.n_words)


def _is_near(found: int, expected: int) -> bool:
    return abs(found - expected) <= _TOLERANCE * expected
