"""What extracts files for whoever works a queue off."""

from __future__ import annotations

from embedwell.app.config.settings import Settings
from embedwell.app.config.sizes import parse_budget
from embedwell.core.device import total_memory_bytes
from embedwell.core.events import Watch
from embedwell.ingest.limited import LimitedExtractor, Limits


def extracting(settings: Settings, watch: Watch) -> LimitedExtractor:
    """An extractor with the limits of the settings; to be closed after the work.

    Args:
        settings: Their time and memory of one file.
        watch: Stops a file that is being extracted, within a moment.
    """
    memory_bytes = parse_budget(settings.extraction_memory, total_memory_bytes())
    limits = Limits(settings.extraction_timeout_s, memory_bytes)
    return LimitedExtractor(limits, watch.cancelled)
