"""The segmenters by name. Third parties add theirs under the entry point `embedwell.chunkers`."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

from embedwell.chunking.protocol import Segmenter
from embedwell.core.errors import ExtractionError

CHUNKERS = {
    "code": "embedwell.chunking.code:segments",
    "lines": "embedwell.chunking.prose:segments",
    "markdown": "embedwell.chunking.markdown:segments",
    "prose": "embedwell.chunking.prose:segments",
    "rst": "embedwell.chunking.rst:segments",
}


def find_segmenter(name: str) -> Segmenter:
    """The segmenter of that name.

    Raises:
        ExtractionError: None of that name is installed.
    """
    if target := CHUNKERS.get(name):
        module, attribute = target.split(":")
        return cast("Segmenter", getattr(import_module(module), attribute))
    for entry in entry_points(group="embedwell.chunkers", name=name):
        return cast("Segmenter", entry.load())
    raise ExtractionError(
        f"There is no chunker '{name}'.", f"Choose one of: {', '.join(CHUNKERS)}, or install it."
    )
