"""PDF as the text of its pages."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from embedwell.chunking.outline import MAX_TITLE_CHARS
from embedwell.chunking.protocol import Segment
from embedwell.core.errors import ExtractionError
from embedwell.ingest.decode import mended
from embedwell.ingest.extracted import Extracted, own_lines
from embedwell.ingest.formats import Format

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

MAX_PAGES = 5_000
MAX_CHARS = 16 << 20
MAX_HEADINGS = 10_000
MAX_DRAWING_BYTES = 8 << 20
"""Longer drawing instructions of one page are graphics, and take minutes to read."""

_BETWEEN_PAGES = "\n\n"
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
)


def extract(data: bytes, form: Format) -> Extracted:  # noqa: ARG001 - the port's signature
    """The text of each page, a segment each: the outline's heading and `page 3` are its path.

    Lines are those of the extracted text. Pages that cannot be read, and what goes beyond the
    limits above, are left out and named in the notes.

    Raises:
        ExtractionError: It is not a PDF, is broken or encrypted, or holds no text.
    """
    reader = _opened(data)
    n_pages = len(reader.pages)
    remarks: list[str] = []  # on headings; what is said of missing text comes first
    headings = _headings(reader, remarks)
    parts: list[str] = []
    segments: list[Segment] = []
    notes = [f"Pages after {MAX_PAGES:,} were left out."] if n_pages > MAX_PAGES else []
    length = 0
    path: tuple[str, ...] = ()
    for number, page in enumerate(islice(reader.pages, MAX_PAGES), 1):
        path = headings.get(number, path)
        text = _page_text(page, number, notes)
        if length + len(text) > MAX_CHARS:
            notes.append(f"Pages from {number:,} on were left out: the text is too long.")
            break
        if text:
            segments.append(Segment(length, length + len(text), (*path, f"page {number}")))
            parts += (text, _BETWEEN_PAGES)
            length += len(text) + len(_BETWEEN_PAGES)
    if not segments:
        raise ExtractionError(
            f"None of the {n_pages:,} pages of the PDF holds text that can be read.",
            notes[0] if notes else "Run OCR over it first: the pages are images.",
        )
    whole = "".join(parts)
    return Extracted(whole, segments, own_lines(whole), [*notes, *remarks])


def _opened(data: bytes) -> PdfReader:
    import pypdf  # noqa: PLC0415 - loaded when the first PDF comes
    from pypdf.errors import DependencyError  # noqa: PLC0415

    logger = logging.getLogger("pypdf")
    if logger.level == logging.NOTSET:  # whoever wants its remarks on broken files sets a level
        logger.setLevel(logging.CRITICAL)
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        is_open = not reader.is_encrypted or bool(reader.decrypt(""))
        n_pages = len(reader.pages) if is_open else 0
    except DependencyError as error:
        raise ExtractionError(
            "The PDF is protected with AES, which needs another package.",
            "Install it with: pip install cryptography.",
        ) from error
    except Exception as error:
        raise ExtractionError(
            f"The PDF is broken ({type(error).__name__}: {error}).",
            "Open it in a viewer and print it to a new PDF.",
        ) from error
    if not is_open:
        raise ExtractionError("The PDF is encrypted.", "Save it without a password.")
    if not n_pages:
        raise ExtractionError("The PDF has no pages.", "Remove it, or get it again.")
    return reader


def _page_text(page: PageObject, number: int, notes: list[str]) -> str:
    """The text of one page; a page that cannot be read is noted and gives none."""
    try:
        drawing = page.get_contents()
        if drawing is not None and len(drawing.get_data()) > MAX_DRAWING_BYTES:
            notes.append(f"Page {number:,} was left out: its drawing is too large.")
            return ""
        text = page.extract_text()
    except Exception as error:  # noqa: BLE001 - pypdf raises what it meets; the page is named
        notes.append(f"Page {number:,} could not be read ({type(error).__name__}: {error}).")
        return ""
    return mended(text.translate(_LIGATURES)).strip()


def _headings(reader: PdfReader, notes: list[str]) -> Mapping[int, tuple[str, ...]]:
    """The path of the first heading that begins on a page, by page number from 1.

    A broken outline is noted and costs headings, never text.
    """
    found: dict[int, tuple[str, ...]] = {}
    try:
        for page, path in islice(_outline(reader), MAX_HEADINGS):
            found.setdefault(page, path)
    except Exception as error:  # noqa: BLE001 - pypdf raises what it meets
        notes.append(f"The outline could not be read ({type(error).__name__}: {error}).")
    return found


def _outline(reader: PdfReader) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Pages and paths of the outline's entries; a list follows the entry that it lies below."""
    above: list[tuple[str, ...]] = [()]
    stack: list[Iterator[Any]] = [iter(reader.outline)]
    path: tuple[str, ...] = ()
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            above.pop()
        elif isinstance(entry, list):
            stack.append(iter(entry))
            above.append(path)
        else:
            title = mended(" ".join(str(entry.title).split())[:MAX_TITLE_CHARS])
            path = (*above[-1], title)
            page = reader.get_destination_page_number(entry)
            if page is not None and page >= 0:
                yield page + 1, path
