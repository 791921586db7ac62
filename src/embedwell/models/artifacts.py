"""Artifacts on disk: each is a folder that appears whole or not at all."""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from embedwell.core.artifact import Artifact, Form, Quantization
from embedwell.core.errors import ModelError, WrongBytesError
from embedwell.core.events import Watch
from embedwell.models.blobs import check_bytes, flush, flush_folder, sha256_of
from embedwell.models.catalogue import ModelCard
from embedwell.models.key import conversion_key, recipe_hash
from embedwell.models.manifest import MANIFEST, read_manifest, write_manifest
from embedwell.models.scratch import Scratch, writing
from embedwell.models.shelf import plain_name
from embedwell.models.source import SourceFiles

_log = logging.getLogger(__name__)
_DAMAGED = ".damaged"
_TOKENIZER = "tokenizer.json"
_ENGINES: dict[Form, str] = {"onnx": "onnx", "gguf": "llamacpp", "static": "static"}


class Convert(Protocol):
    """What makes an artifact's files."""

    def __call__(
        self,
        source: SourceFiles,
        quantization: Quantization,
        form: Form,
        folder: Path,
        watch: Watch,
    ) -> None:
        """Write the files of an artifact into an empty folder, `tokenizer.json` among them.

        Raises:
            ConversionError: The weights cannot be converted.
            TaskCancelledError: The watch asked to stop.
        """
        ...


def our_convert(
    source: SourceFiles, quantization: Quantization, form: Form, folder: Path, watch: Watch
) -> None:
    """The package's own converter, imported when it is called."""
    from embedwell.models.convert import convert  # noqa: PLC0415 - heavy, and needed once

    convert(source, quantization, form, folder, watch)


@dataclass(frozen=True)
class ArtifactStore:
    """The artifacts in `<cache>/artifacts`, each in `<model>@<quantization>-<key>`.

    Several processes may use one cache at once.

    Attributes:
        cache: The folder of all model files and artifacts; made when first written.
        convert: What makes an artifact's files.
    """

    cache: Path
    convert: Convert = our_convert

    @property
    def recipes(self) -> Path:
        """Where the user's own recipes lie."""
        return self.cache / "recipes"

    def find(
        self, card: ModelCard, quantization: Quantization, form: Form = "onnx"
    ) -> Artifact | None:
        """The artifact, if it is here, whole, and what the converter would make today.

        Takes milliseconds: sizes and times of the files are compared, and only a file that was
        changed since is read. A damaged folder is set aside, with a warning in the log that
        names it.
        """
        return self._at(self._folder(card, quantization, form), card)

    def make(
        self,
        source: SourceFiles,
        quantization: Quantization,
        watch: Watch,
        form: Form = "onnx",
    ) -> Artifact:
        """Convert published files; the artifact is there afterwards, or nothing is.

        Where it is there already, or another process is faster, that one is used.

        Args:
            source: The published files; they are hashed once more.
            quantization: Bits per weight.
            watch: Told of each step as `verify` in bytes and `convert`.
            form: What its engine reads.

        Raises:
            WrongBytesError: A published file was altered since it was pulled.
            ConversionError: The weights cannot be converted.
            ModelCacheError: The cache is full or cannot be written.
            TaskCancelledError: The watch asked to stop.
        """
        target = self._folder(source.card, quantization, form)
        artifact = self._at(target, source.card)
        if artifact is not None:
            return artifact
        source = replace(source, recipes=self.recipes)
        for name, pin in source.card.files.items():
            check_bytes(source.paths[name], pin, watch)
        with Scratch(self.cache) as scratch:
            folder = scratch.new("artifact")
            with writing(self.cache):
                self._fill(folder, source, (quantization, form), watch)
            return self._publish(folder, target, source.card)

    def verify(self, artifact: Artifact, watch: Watch | None = None) -> None:
        """Hash every file of an artifact.

        Raises:
            WrongBytesError: One is missing, altered or cut; the message names it.
            TaskCancelledError: The watch asked to stop.
        """
        try:
            read_manifest(artifact.folder).check_fully(watch or Watch())
        except (WrongBytesError, OSError) as error:
            problem = error.problem if isinstance(error, WrongBytesError) else f"{error}."
            raise WrongBytesError(
                f"The artifact {artifact.name} is damaged: {problem}",
                f"Run `embedwell models remove {artifact.name}`, "
                f"then `embedwell models pull {artifact.name}`.",
            ) from error

    def list(self) -> tuple[Artifact, ...]:
        """All whole artifacts by name, those of an older converter too; changes nothing."""
        found = []
        for folder in self._all_folders("*"):
            if folder.suffix == _DAMAGED:
                continue
            with suppress(ModelError, OSError):
                manifest = read_manifest(folder)
                manifest.check_quickly()
                found.append(manifest.artifact)
        return tuple(sorted(found, key=lambda artifact: (artifact.name, artifact.key)))

    def damaged(self) -> tuple[Path, ...]:
        """Folders that were set aside."""
        return tuple(path for path in self._all_folders("*") if path.suffix == _DAMAGED)

    def remove(self, card: ModelCard, quantization: Quantization) -> int:
        """Remove an artifact, older and damaged ones of that name too.

        Returns:
            How many bytes that freed.

        Raises:
            ModelCacheError: The cache cannot be written.
        """
        freed = 0
        with Scratch(self.cache) as scratch:
            for folder in self._all_folders(f"{plain_name(card.name)}@{quantization}-*"):
                freed += sum(path.stat().st_size for path in folder.iterdir())
                gone = scratch.new("removed")
                with writing(self.cache):
                    folder.rename(gone / folder.name)  # all at once; scratch deletes it
        return freed

    def _folder(self, card: ModelCard, quantization: Quantization, form: Form) -> Path:
        source = SourceFiles(card, {}, "none", self.recipes)  # a key needs no files
        key = conversion_key(source, quantization, form)
        return self.cache / "artifacts" / f"{plain_name(card.name)}@{quantization}-{key[:12]}"

    def _all_folders(self, pattern: str) -> tuple[Path, ...]:
        return tuple(sorted((self.cache / "artifacts").glob(pattern)))

    def _at(self, folder: Path, card: ModelCard) -> Artifact | None:
        """The artifact in a folder; a damaged one is set aside."""
        if not folder.is_dir():
            return None
        try:
            manifest = read_manifest(folder)
            manifest.check_quickly()
        except (ModelError, OSError) as error:
            self._set_aside(folder, error)
            return None
        made = manifest.artifact  # neither prompts nor a shorter length are in the files
        key = sha256(f"{made.key}:{card.dimensions}".encode()).hexdigest() if card.cut else made.key
        return replace(made, space=card.space, cut=card.cut, key=key)

    def _set_aside(self, folder: Path, reason: Exception) -> None:
        aside = folder.with_name(folder.name + _DAMAGED)
        _log.warning("%s is damaged and was set aside as %s: %s", folder, aside.name, reason)
        with suppress(OSError):  # a cache that cannot be written: making it again will say so
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)

    def _fill(
        self,
        folder: Path,
        source: SourceFiles,
        made: tuple[Quantization, Form],
        watch: Watch,
    ) -> None:
        quantization, form = made
        self.convert(source, quantization, form, folder, watch)
        whole = source.card.full_dimensions or source.card.dimensions
        artifact = Artifact(
            space=replace(source.card.space, dimensions=whole),
            quantization=quantization,
            engine=_ENGINES[form],
            folder=folder,
            key=conversion_key(source, quantization, form),
            weights_sha256=source.card.files[source.card.weights].sha256,
            tokenizer_sha256=sha256_of(folder / _TOKENIZER, watch),
            size_bytes=sum(path.stat().st_size for path in folder.iterdir()),
            recipe=recipe_hash(source, quantization, form),
            head=source.card.head,
        )
        for path in folder.iterdir():
            flush(path)
        write_manifest(artifact, watch)
        flush(folder / MANIFEST)
        flush_folder(folder)

    def _publish(self, folder: Path, target: Path, card: ModelCard) -> Artifact:
        """Give a finished folder its name, unless another process was faster."""
        with writing(self.cache):
            target.parent.mkdir(exist_ok=True)
        artifact = self._at(target, card)
        while artifact is None:
            with writing(self.cache):
                _rename_unless_there(folder, target)
                flush_folder(target.parent)
            artifact = self._at(target, card)
        return artifact


def _rename_unless_there(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise
