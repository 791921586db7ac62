"""What is said between a worker and the child that extracts for it.

A `Job`, then the bytes of its file; an `Answer`. Messages are MessagePack of the types below, which
can say nothing else: whoever took the child over by a hostile file can give wrong text, but neither
code nor objects, as a pickle could.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np

from embedwell.chunking.protocol import Segment
from embedwell.ingest.extracted import Extracted, LineMap
from embedwell.ingest.formats import Format


class Job(msgspec.Struct, array_like=True, frozen=True):
    """Announces what is to be extracted.

    Attributes:
        format: How.
        is_text: Whether it is a text in UTF-8 (with lone surrogates), not the bytes of a file.
        timeout_s: Seconds after which nobody waits for it any more.
    """

    format: Format
    is_text: bool
    timeout_s: float


class Found(msgspec.Struct, array_like=True, frozen=True, tag="found"):
    """An `Extracted`; offsets and lines of its map are int64 of this machine."""

    text: str
    segments: list[tuple[int, int, tuple[str, ...], str]]
    offsets: bytes
    lines: bytes
    notes: list[str]


class Refused(msgspec.Struct, array_like=True, frozen=True, tag="refused"):
    """The extractor raised an `ExtractionError`."""

    problem: str
    remedy: str


class Failed(msgspec.Struct, array_like=True, frozen=True, tag="failed"):
    """The extractor raised something else."""

    reason: str


class NoMemory(msgspec.Struct, array_like=True, frozen=True, tag="memory"):
    """The system gave the child no more memory."""


Answer = Found | Refused | Failed | NoMemory

encode = msgspec.msgpack.Encoder().encode
decode_job = msgspec.msgpack.Decoder(Job).decode
_decode_answer: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def found(extracted: Extracted) -> Found:
    """As it is sent."""
    return Found(
        extracted.text,
        [(part.start, part.end, part.path, part.joint) for part in extracted.segments],
        extracted.line_of.offsets.tobytes(),
        extracted.line_of.lines.tobytes(),
        list(extracted.notes),
    )


def decode_answer(message: bytes) -> Answer | Extracted:
    """What a child answered; its text and structure where it found them.

    Raises:
        ValueError: It is not what an extractor gives.
    """
    answer = _decode_answer.decode(message)  # its errors are ValueErrors
    return _extracted(answer) if isinstance(answer, Found) else answer


def _extracted(answer: Found) -> Extracted:
    segments = [Segment(*part) for part in answer.segments]
    edges = [0, *(edge for part in segments for edge in (part.start, part.end)), len(answer.text)]
    offsets = np.frombuffer(answer.offsets, dtype=np.int64)
    lines = np.frombuffer(answer.lines, dtype=np.int64)
    is_sound = (
        all(before <= after for before, after in pairwise(edges))
        and len(offsets) == len(lines) > 0
        and offsets[0] == 0
        and bool((np.diff(offsets) >= 0).all())
        and bool((lines > 0).all())
    )
    if not is_sound:
        raise ValueError("its segments or lines are out of order")
    return Extracted(answer.text, segments, LineMap(offsets, lines), answer.notes)
