"""Jupyter notebooks: the cells that people wrote, without outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embedwell.chunking import code
from embedwell.chunking.markdown import blocks
from embedwell.chunking.outline import Outline
from embedwell.chunking.protocol import Segment
from embedwell.core.errors import ExtractionError
from embedwell.ingest.decode import decode, mended
from embedwell.ingest.extracted import Extracted, LineMap
from embedwell.ingest.formats import Format

_BETWEEN_CELLS = "\n\n"
_LIST_HEAD = '"source": ['
_STRING_HEAD = '"source": "'
MAX_AHEAD = 64
"""Cells that may be skipped to find the next one's place in the file."""


@dataclass(frozen=True)
class _Cell:
    """A cell's kind (`markdown`, `code`, `raw`, …), its lines with line ends, and where they lie.

    `first_line` is the first source line in the file, from 1; the others follow it when
    `is_by_line`, else all lie on it.
    """

    kind: str
    lines: Sequence[str]
    first_line: int
    is_by_line: bool


def extract(data: bytes, form: Format) -> Extracted:  # noqa: ARG001 - the port's signature
    """The sources of a notebook's cells, one below the other.

    Headings of Markdown cells are the path of all that follows them; definitions in code cells
    add their symbols. Lines are those of the JSON file as Jupyter writes it; where another
    program wrote it differently, the nearest known one.

    Raises:
        ExtractionError: It is not a notebook.
    """
    source = decode(data)
    notebook = _parsed(source)
    language = _language(notebook)
    parts: list[str] = []
    segments: list[Segment] = []
    places: list[tuple[int, int]] = [(0, 1)]
    outline = Outline()
    length = 0
    for cell in _cells(notebook, source):
        text = mended("".join(cell.lines))
        segments += _segments(cell.kind, text, length, language, outline)
        places += _places(cell, length)
        parts += (text, _BETWEEN_CELLS)
        length += len(text) + len(_BETWEEN_CELLS)
    offsets, lines = np.array(places, dtype=np.int64).T
    return Extracted("".join(parts), segments, LineMap(offsets, lines))


def _parsed(source: str) -> dict[str, Any]:
    remedy = "Open it in Jupyter and save it again, or remove it."
    try:
        notebook = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise ExtractionError(f"The notebook is not valid JSON ({error}).", remedy) from error
    if not isinstance(notebook, dict) or not ("cells" in notebook or "worksheets" in notebook):
        raise ExtractionError("The file is JSON, but not a notebook: it has no cells.", remedy)
    return notebook


def _language(notebook: dict[str, Any]) -> str:
    """The kernel's language, as the grammars call it."""
    metadata = _dict(notebook.get("metadata"))
    info, kernel = _dict(metadata.get("language_info")), _dict(metadata.get("kernelspec"))
    language = str(info.get("name") or kernel.get("language") or "python").lower()
    return "cpp" if language == "c++" else language


def _cells(notebook: dict[str, Any], source: str) -> Iterator[_Cell]:
    """The cells of format 4, or of the worksheets of format 3."""
    found = _list(notebook.get("cells"))
    for sheet in _list(notebook.get("worksheets")):
        found = found + _list(_dict(sheet).get("cells"))
    finder = _LineFinder(source)
    for cell in map(_dict, found):
        written = cell.get("source", cell.get("input", ""))
        lines = [line for line in _list(written) if isinstance(line, str)]
        is_by_line = not isinstance(written, str)
        if not is_by_line:
            lines = [written]
        is_found = bool(lines) and finder.find(lines[0], is_by_line=is_by_line)
        kind = str(cell.get("cell_type", ""))
        yield _Cell(kind, lines, finder.line, is_by_line=is_by_line and is_found)


class _LineFinder:
    """Finds the lines of cells in the file, from the top; sources only, never outputs."""

    def __init__(self, source: str) -> None:
        self._rows = [row.strip() for row in source.split("\n")]
        heads = (_LIST_HEAD, _STRING_HEAD)
        self._heads = [at for at, row in enumerate(self._rows) if row.startswith(heads)]
        self._next_head = 0
        self.line = 1

    def find(self, first: str, *, is_by_line: bool) -> bool:
        """Set `line` to where the next cell's source begins; false where it is not found."""
        written = {json.dumps(first), json.dumps(first, ensure_ascii=False)}
        for number in range(self._next_head, min(self._next_head + MAX_AHEAD, len(self._heads))):
            at = self._heads[number] + is_by_line
            row = self._rows[at] if at < len(self._rows) else ""
            if row.removeprefix(_STRING_HEAD[:-1]).rstrip(",") in written:
                self._next_head, self.line = number + 1, at + 1
                return True
        return False


def _segments(
    kind: str, text: str, shift: int, language: str, outline: Outline
) -> Iterator[Segment]:
    if kind == "markdown":
        found = blocks(text, outline)
    elif kind == "code":
        path = outline.path
        found = [
            Segment(part.start, part.end, (*path, *part.path))
            for part in code.segments(text, language)
        ]
    else:
        found = [Segment(0, len(text), outline.path)] if text.strip() else []
    for part in found:
        yield Segment(part.start + shift, part.end + shift, part.path)


def _places(cell: _Cell, shift: int) -> Iterator[tuple[int, int]]:
    """Where each line of a cell begins in the text, with its line in the file."""
    for number, line in enumerate(cell.lines):
        yield shift, cell.first_line + (number if cell.is_by_line else 0)
        shift += len(line)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
