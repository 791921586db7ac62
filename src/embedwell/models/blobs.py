"""Published files that were checked, kept under their hash, each of them once."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from embedwell.core.errors import WrongBytesError
from embedwell.core.events import Watch
from embedwell.models.catalogue import ModelCard, PinnedFile
from embedwell.models.scratch import Scratch, writing

_BLOCK = 1 << 20


@dataclass(frozen=True)
class BlobCache:
    """`<cache>/blobs/<sha256>`.

    Attributes:
        cache: The folder of all model files and artifacts.
    """

    cache: Path

    def path(self, pin: PinnedFile) -> Path:
        """Where a file with these bytes is kept, if it is."""
        return self.cache / "blobs" / pin.sha256

    def keep(
        self, found: Path, pin: PinnedFile, scratch: Scratch, watch: Watch, *, lasting: bool
    ) -> Path:
        """Check a file and have it stay: moved from scratch, else linked, else copied.

        A hard link costs no space, and outlives the removal of the other name. Where the file is
        on another disk, a `lasting` one is used where it lies instead of being copied.

        Args:
            found: A file that a mirror gave.
            pin: The bytes that it must have.
            scratch: Where the mirror downloaded to.
            watch: Told of each block as `verify` in bytes.
            lasting: Whether the file stays where it is.

        Returns:
            Where the checked bytes are from now on.

        Raises:
            WrongBytesError: It has other bytes; a copy of ours was removed.
            ModelCacheError: The cache is full or cannot be written.
            OSError: The file cannot be read.
            TaskCancelledError: The watch asked to stop.
        """
        target = self.path(pin)
        if found == target:
            return _checked_blob(target, pin, watch)
        staged = found if scratch.holds(found) else _stage(found, scratch, lasting=lasting)
        check_bytes(staged, pin, watch, "the download" if scratch.holds(found) else str(found))
        if staged == found and not scratch.holds(found):
            return found
        with writing(self.cache):
            if staged == found:
                flush(staged)
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
            staged.unlink(missing_ok=True)  # renaming one link of a file to another does nothing
            flush_folder(target.parent)
        return target

    def remove(self, card: ModelCard, others: Iterable[ModelCard] = ()) -> int:
        """Drop the kept files of a model; returns how many bytes they had.

        Args:
            card: The model.
            others: Models whose files stay, where their weights are here: many share a tokenizer.
        """
        shared = {
            pin.sha256
            for other in others
            if self.path(other.files[other.weights]).is_file()
            for pin in other.files.values()
        }
        freed = 0
        for pin in card.files.values():
            if pin.sha256 in shared:
                continue
            with contextlib.suppress(FileNotFoundError), writing(self.cache):
                path = self.path(pin)
                size = path.stat().st_size
                path.unlink()
                freed += size
        return freed


def check_bytes(path: Path, pin: PinnedFile, watch: Watch, called: str = "") -> None:
    """Compare a file with its pin.

    Args:
        path: The file.
        pin: The bytes that it must have.
        watch: Told of each block as `verify` in bytes.
        called: What the message calls the file; else its path.

    Raises:
        WrongBytesError: The size or the hash is another; the message gives both.
        OSError: The file cannot be read.
        TaskCancelledError: The watch asked to stop.
    """
    size = path.stat().st_size
    if size > pin.size_bytes:
        got = f"{size} bytes"
    else:
        got = f"SHA-256 {sha256_of(path, watch)} ({size} bytes)"
    expected = f"SHA-256 {pin.sha256} ({pin.size_bytes} bytes)"
    if got != expected:
        raise WrongBytesError(
            f"{called or path} has {got}, expected {expected}.",
            "Take the file from another place.",
        )


def sha256_of(path: Path, watch: Watch) -> str:
    """SHA-256 (64 hex digits) of a file, read in blocks.

    Raises:
        OSError: The file cannot be read.
        TaskCancelledError: The watch asked to stop.
    """
    digest = hashlib.sha256()
    total = path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            watch.progress("verify", file.tell(), total, "bytes")
    return digest.hexdigest()


def flush(path: Path) -> None:
    """Have a file's bytes on the disk before its name says so."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Have a folder's names on the disk, where the system offers that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checked_blob(path: Path, pin: PinnedFile, watch: Watch) -> Path:
    try:
        check_bytes(path, pin, watch)
    except WrongBytesError:
        with contextlib.suppress(OSError):  # a read-only cache: it is refused all the same
            path.unlink()
        raise
    return path


def _stage(found: Path, scratch: Scratch, *, lasting: bool) -> Path:
    """Another name for a file, or a copy, in scratch; the file itself where neither is needed."""
    real = found.resolve(strict=True)  # the hub's cache gives symbolic links
    staged = scratch.new("keep") / "file"
    try:
        os.link(real, staged)
    except OSError:
        if lasting:
            return found
        _copy(real, staged)
    return staged


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read:
        with writing(target.parent):
            written = target.open("wb")
        with written:
            while block := read.read(_BLOCK):
                with writing(target.parent):
                    written.write(block)
            with writing(target.parent):
                written.flush()
                os.fsync(written.fileno())
