"""What becomes of a claimed row when it is read: never an error, always an outcome."""

import hashlib
from dataclasses import replace

import pytest

from embedwell.core.errors import ExtractionError
from embedwell.ingest.formats import PLAIN
from embedwell.ingest.sources.protocol import Content
from embedwell.jobs.work.prepare import Cutting, extract_here, prepare_task
from embedwell.stores.queue import Item, Task
from embedwell.testing import word_starts

TASK = Task(1, 5, 1, Item("source:a.txt", "text", 9, 9), 1, 0, "", "me")


class Source:
    """Gives one content, or raises."""

    is_whole = True

    def __init__(self, found):
        self.found = found
        self.asked = []

    def read(self, item):
        self.asked.append(item.key)
        if isinstance(self.found, Exception):
            raise self.found
        return Content(self.found, len(self.found), 7, PLAIN)


def prepared(found, task=TASK, extract=extract_here):
    source = Source(found)
    ready = prepare_task(task, "source:", source, extract, Cutting(lambda kind: word_starts, 40))
    assert source.asked == ["a.txt"]
    return ready


@pytest.mark.parametrize("content", [b"some words", "some words"])
def test_a_file_or_a_record_is_read_and_cut(content):
    ready = prepared(content)
    assert (ready.outcome.status, ready.outcome.n_chunks) == ("done", 1)
    document = ready.prepared.document
    assert (document.key, document.source, document.mtime_ns) == ("source:a.txt", 5, 7)
    assert document.is_record == isinstance(content, str)


def test_what_has_the_stored_bytes_is_skipped_unless_it_is_wanted_anew():
    stored = replace(TASK, sha256=hashlib.sha256(b"some words").hexdigest())
    ready = prepared(b"some words", stored)
    assert (ready.outcome.status, ready.prepared) == ("skipped", None)
    assert (ready.stat.size_bytes, ready.stat.mtime_ns) == (10, 7)
    anew = replace(stored, item=replace(TASK.item, anew=True))
    assert prepared(b"some words", anew).outcome.status == "done"


def test_what_has_gone_is_skipped():
    ready = prepared(FileNotFoundError())
    assert (ready.outcome.status, ready.prepared) == ("skipped", None)


def test_what_is_refused_at_reading_leaves_what_is_stored():
    ready = prepared(ExtractionError("It changed.", "Index again."))
    assert (ready.outcome.status, ready.prepared) == ("failed", None)
    assert "It changed." in ready.outcome.error


def test_what_cannot_be_extracted_leaves_a_document_without_chunks():
    ready = prepared(b"\0\1\2" * 100)
    assert ready.outcome.status == "failed"
    assert ready.prepared.chunks == []
    assert "binary" in ready.outcome.error
