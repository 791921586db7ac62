"""What every extractor gives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from embedwell.chunking.protocol import Segment
from embedwell.chunking.registry import find_segmenter
from embedwell.core.vectors import IntArray
from embedwell.ingest.formats import Format

LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class LineMap:
    """The line of the source file that each character of a text came from.

    Attributes:
        offsets: int64, shape (n,), ascending, the first one 0: where another line begins.
        lines: int64, shape (n,): that line, from 1.
    """

    offsets: IntArray
    lines: IntArray

    def __call__(self, offset: int) -> int:
        """The line of the character at `offset`, from 1, as an editor counts."""
        at = int(self.offsets.searchsorted(offset, side="right")) - 1
        return int(self.lines[max(at, 0)])


@dataclass(frozen=True)
class Extracted:
    """A file as text.

    Attributes:
        text: What is chunked and searched.
        segments: Its structure.
        line_of: The line of the file for a character of the text.
        notes: What could not be read, one sentence each.
    """

    text: str
    segments: Sequence[Segment]
    line_of: LineMap
    notes: Sequence[str] = ()


class Extractor(Protocol):
    """Turns the bytes of one kind of file into text."""

    def __call__(self, data: bytes, form: Format) -> Extracted:
        """Extract.

        Raises:
            ExtractionError: The bytes are not what the format says.
        """
        ...


def own_lines(text: str) -> LineMap:
    """The lines of a text that is its own source."""
    starts = [0, *(match.end() for match in LINE_END.finditer(text))]
    return LineMap(np.array(starts, dtype=np.int64), np.arange(1, len(starts) + 1, dtype=np.int64))


def segmented(text: str, form: Format) -> Extracted:
    """A text that is its own source, cut by its format's segmenter."""
    return Extracted(text, find_segmenter(form.segmenter)(text, form.language), own_lines(text))
