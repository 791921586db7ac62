"""The bytes of a file into text with its structure and its lines."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from embedwell.core.errors import ExtractionError
from embedwell.ingest.decode import mended
from embedwell.ingest.extracted import Extracted, Extractor, LineMap, segmented
from embedwell.ingest.formats import Format

__all__ = ["EXTRACTORS", "MAX_CHARS", "Extracted", "LineMap", "extract", "extract_text"]

EXTRACTORS = {
    "html": "embedwell.ingest.extractors.html:extract",
    "notebook": "embedwell.ingest.extractors.notebook:extract",
    "pdf": "embedwell.ingest.extractors.pdf:extract",
    "text": "embedwell.ingest.extractors.text:extract",
}

MAX_CHARS = 16 << 20
"""A longer text is data; to cut it takes hundreds of megabytes."""


def extract(data: bytes, form: Format) -> Extracted:
    """Turn the bytes of a file into text, segments and lines.

    Args:
        data: The whole file; the caller has compared its size with `form.max_bytes`.
        form: What `formats.format_of` says of it.

    Raises:
        ExtractionError: The bytes are not what the format says, cannot be read, or hold too
            long a text.
    """
    module, attribute = EXTRACTORS[form.extractor].split(":")
    extractor = cast("Extractor", getattr(import_module(module), attribute))
    return _bounded(extractor(data, form))


def extract_text(text: str, form: Format) -> Extracted:
    """The same for a text that a program holds: it is never taken for binary.

    NUL and lone surrogates become U+FFFD.

    Raises:
        ExtractionError: It is too long.
    """
    return _bounded(segmented(mended(text), form))


def _bounded(extracted: Extracted) -> Extracted:
    if len(extracted.text) > MAX_CHARS:
        raise ExtractionError(
            f"Its text has {len(extracted.text):,} characters, more than the {MAX_CHARS:,} of "
            "fifty books.",
            "Leave it out, or split it.",
        )
    return extracted
