"""Text without marked structure: blank lines, lines and sentences are found when it is cut."""

from __future__ import annotations

from embedwell.chunking.protocol import Segment


def segments(text: str, language: str) -> list[Segment]:  # noqa: ARG001 - the port's signature
    """One segment for the whole text; none where it is blank."""
    return [Segment(0, len(text))] if text.strip() else []
