"""A process and its child: how the child begins, and the messages between them.

A message is 8 bytes of length, little-endian, and its bytes. Children are started often, and in
environments that have little: only the standard library is needed here.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 256 << 20
"""No answer of a child is longer: it went wrong, or somebody took it over."""

_LENGTH_BYTES = 8


def send(pipe: BinaryIO, *parts: bytes) -> None:
    """Send one message, made of these parts."""
    pipe.write(sum(map(len, parts)).to_bytes(_LENGTH_BYTES, "little"))
    pipe.writelines(parts)
    pipe.flush()


def receive(pipe: BinaryIO, most_bytes: int = MOST_BYTES) -> bytes:
    """The next message.

    Raises:
        EOFError: The other side has gone, or says that it has more than `most_bytes`.
    """
    size_bytes = int.from_bytes(_exactly(pipe, _LENGTH_BYTES), "little")
    if size_bytes > most_bytes:
        raise EOFError
    return _exactly(pipe, size_bytes)


def take_standard_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The child's pipes from and to its parent, out of reach of libraries that read or print."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, sink


def die_before_parent() -> None:
    """Where memory runs out, have Linux end this child rather than the process that started it."""
    with suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text("1000")


def _exactly(pipe: BinaryIO, size_bytes: int) -> bytes:
    found = pipe.read(size_bytes)
    if len(found) < size_bytes:
        raise EOFError
    return found
