"""The settings' limits reach what extracts."""

from __future__ import annotations

import pytest

from embedwell.app.config.settings import Settings
from embedwell.app.workers.extraction import extracting
from embedwell.core.device import total_memory_bytes
from embedwell.core.errors import ExtractionError, TaskCancelledError
from embedwell.core.events import Watch
from embedwell.ingest.formats import format_of
from embedwell.ingest.sources.protocol import Content

CODE = Content(b"a<b<" * 8_000, 32_000, 0, format_of("a.java"))


def test_a_file_beyond_the_settings_memory_is_refused():
    with (
        extracting(Settings(extraction_memory="200MiB"), Watch()) as extract,
        pytest.raises(ExtractionError, match=r"more than 200 MiB|for want of memory"),
    ):
        extract(CODE)


def test_a_share_is_of_the_machines_memory():
    share = extracting(Settings(extraction_memory="50%", extraction_timeout_s=7), Watch())
    assert share._limits.memory_bytes == total_memory_bytes() // 2
    assert share._limits.timeout_s == 7


def test_a_watch_that_stops_ends_it():
    watch = Watch()
    watch.cancelled.set()
    with extracting(Settings(), watch) as extract, pytest.raises(TaskCancelledError):
        extract(CODE)
