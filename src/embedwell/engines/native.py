"""Which build of a native library runs: two builds of one version may compute differently."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"\x7fELF"
_NOTE_SEGMENT = 4  # PT_NOTE
_BUILD_ID_NOTE = 3  # NT_GNU_BUILD_ID
_MOST_NOTES = 1 << 16
# Offsets and forms of what is read, by word size (elf(5)): in the file's header, where the program
# headers begin and their size and number; in each of those, where its segment lies and how long.
_HEADER = {1: (28, "I", 42), 2: (32, "Q", 54)}
_SEGMENT = {1: (4, 16, "I"), 2: (8, 32, "Q")}


@cache
def native_build(file: Path) -> str:
    """What identifies a native library, in hexadecimal digits.

    Returns:
        The build id that its linker wrote; else, and for what is no ELF file, the SHA-256 of all
        of its bytes. Found once a process.

    Raises:
        OSError: The file cannot be read.
    """
    return build_id(file) or _sha256(file)


def build_id(file: Path) -> str:
    """The GNU build id of an ELF file; empty where it has none, is damaged, or is none."""
    with file.open("rb") as opened, suppress(struct.error, ValueError, OSError):
        head = opened.read(64)
        if len(head) == 64 and head.startswith(_MAGIC) and head[4] in _HEADER:
            order = "<" if head[5] == 1 else ">"
            return next(filter(None, (_found(n, order) for n in _notes(opened, head, order))), "")
    return ""


def _notes(opened: BinaryIO, head: bytes, order: str) -> Iterator[bytes]:
    """The segments of notes."""
    where, word, sizes = _HEADER[head[4]]
    (begin,) = struct.unpack_from(order + word, head, where)
    size, count = struct.unpack_from(order + "HH", head, sizes)
    opened.seek(begin)
    table = opened.read(size * count)
    offset, length, word = _SEGMENT[head[4]]
    for at in range(0, size * count, size or 1):
        if struct.unpack_from(order + "I", table, at)[0] == _NOTE_SEGMENT:
            opened.seek(struct.unpack_from(order + word, table, at + offset)[0])
            (n_bytes,) = struct.unpack_from(order + word, table, at + length)
            yield opened.read(min(n_bytes, _MOST_NOTES))


def _found(notes: bytes, order: str) -> str:
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from(order + "III", notes, at)
        name = at + 12
        content = name + (name_size + 3) // 4 * 4
        if kind == _BUILD_ID_NOTE and notes[name : name + name_size] == b"GNU\0":
            return notes[content : content + size].hex()
        at = content + (size + 3) // 4 * 4
    return ""


def _sha256(file: Path) -> str:
    import hashlib  # noqa: PLC0415 - 3.6 MB; libraries of Linux have a build id

    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
