"""Files that are text already: prose, markup that is read as it stands, source code."""

from __future__ import annotations

from embedwell.ingest.decode import decode
from embedwell.ingest.extracted import Extracted, segmented
from embedwell.ingest.formats import Format


def extract(data: bytes, form: Format) -> Extracted:
    """Decode a file and find its structure.

    Raises:
        ExtractionError: It is binary.
    """
    return segmented(decode(data), form)
