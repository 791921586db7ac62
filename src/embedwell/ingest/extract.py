"""The bytes of a file into text with its structure and its lines."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from embedwell.ingest.decode import mended
from embedwell.ingest.extracted import Extracted, Extractor, LineMap, segmented
from embedwell.ingest.formats import Format

__all__ = ["EXTRACTORS", "Extracted", "LineMap", "extract", "extract_text"]

EXTRACTORS = {
    "html": "embedwell.ingest.extractors.html:extract",
    "notebook": "embedwell.ingest.extractors.notebook:extract",
    "pdf": "embedwell.ingest.extractors.pdf:extract",
    "text": "embedwell.ingest.extractors.text:extract",
}


def extract(data: bytes, form: Format) -> Extracted:
    """Turn the bytes of a file into text, segments and lines.

    Args:
        data: The whole file; the caller has compared its size with `form.max_bytes`.
        form: What `formats.format_of` says of it.

    Raises:
        ExtractionError: The bytes are not what the format says, or cannot be read.
    """
    module, attribute = EXTRACTORS[form.extractor].split(":")
    extractor = cast("Extractor", getattr(import_module(module), attribute))
    return extractor(data, form)


def extract_text(text: str, form: Format) -> Extracted:
    """The same for a text that a program holds: it is never taken for binary.

    NUL and lone surrogates become U+FFFD.
    """
    return segmented(mended(text), form)
