"""JSON Lines as records."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.core.errors import ExtractionError, QueueError
from embedwell.ingest.sources.records import (
    Record,
    Records,
    content_of,
    item_of,
    record_of,
    records_in,
    text_id,
)
from embedwell.stores.queue import Item


def read(lines: bytes, max_bytes: int = 100):
    return list(records_in(io.BytesIO(lines), max_bytes))


def listed(records, **more):
    told = []
    return list(Records(records, **more).items(told.append)), told


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"id": "a", "text": "words"}', Record("a", "words", {})),
        ('\ufeff{"id": "a", "text": ""}', Record("a", "", {})),
        ('{"id": 7, "text": "words", "year": 2020}', Record("7", "words", {"year": 2020})),
        (
            '{"id": "a", "text": "w", "x": 1, "metadata": {"y": [null]}}',
            Record("a", "w", {"x": 1, "y": [None]}),
        ),
        ('{"id": "a", "text": "w", "metadata": "odd"}', Record("a", "w", {"metadata": "odd"})),
        ('{"text": "words"}', Record(text_id("words"), "words", {})),
        ('{"id": "a", "text": "w", "n": "a\\u0000b"}', Record("a", "w", {"n": "a\ufffdb"})),
        ('{"id": "a", "text": "\\ud800"}', Record("a", "\ud800", {})),
    ],
)
def test_a_line_is_a_record(line, expected):
    assert record_of(line.encode()) == expected


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"nothing", "is not JSON"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[1]", "is not an object"),
        (b'{"id": "a"}', "has no text"),
        (b'{"id": "a", "text": 1}', "has no text"),
        (b'{"id": ["a"], "text": "x"}', "neither text nor a number"),
        (b'{"id": " ", "text": "x"}', "empty id"),
        (b'{"id": "\\u0000", "text": "x"}', "NUL"),
        (b'{"id": "\\ud800", "text": "x"}', "not Unicode"),
        (b'{"id": "' + b"a" * 2000 + b'", "text": "x"}', "2,000 bytes"),
        (b'{"id": "a", "text": "x", "n": NaN}', "is not JSON: NaN"),
        (b'{"id": "a", "text": "x", "n": 1e400}', "too large"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"id": "a", "text": "x", "n": ' + b"[" * 40 + b"]" * 40 + b"}", "32 deep"),
    ],
)
def test_what_is_no_record_is_said(line, why):
    found = record_of(line)
    assert isinstance(found, str)
    assert why in found


def test_bad_lines_are_told_by_number_and_the_rest_is_done():
    lines = b'{"id": 1, "text": "a"}\n\nbad\n' + b"x" * 1000 + b'\n{"id": 2, "text": "b"}'
    first, bad, huge, last = read(lines)
    assert (first.id, last.id) == ("1", "2")
    assert (bad.key, huge.key) == ("line 3", "line 4")
    assert huge.reason == "is longer than any text may be"
    assert {bad.fate, huge.fate} == {"failed"}


def test_another_kind_of_file_is_refused_early():
    with pytest.raises(QueueError, match="None of the first 1,000 lines"):
        read(b"one,two\n" * 5000)
    assert len(read(b'{"id": 1, "text": "a"}\n' + b"one,two\n" * 2000)) == 2001


def test_the_first_of_two_with_one_id_is_kept():
    items, told = listed([Record("a", "one", {}), Record("b", "x", {}), Record("a", "two", {})])
    assert [item.key for item in items] == ["a", "b"]
    assert content_of(items[0]).data == "one"
    assert [(one.key, one.fate) for one in told] == [("a", "failed")]


def test_a_text_beyond_the_limit_is_told_with_its_size():
    items, told = listed([Record("a", "é" * 60, {})], max_bytes=100)
    assert items == []
    assert told[0].reason == "is 120 bytes, the limit is 100"


def test_a_record_is_another_when_its_text_or_metadata_are():
    records = [Record("a", "one", {}), Record("a", "two", {}), Record("a", "one", {"n": 1})]
    assert len({item_of(record).mtime_ns for record in records}) == 3
    assert item_of(records[0]) == item_of(Record("a", "one", {}))


def test_without_its_text_a_record_cannot_be_read():
    with pytest.raises(ExtractionError, match="Give the record again"):
        content_of(Item("a", "text", 1, 1))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(max_size=200), st.dictionaries(st.text(), json_values, max_size=3))
def test_a_record_survives_the_queue(text, metadata):
    line = json.dumps({"id": "a", "text": text, "metadata": metadata}).encode()
    found = record_of(line)
    if isinstance(found, str):
        assert "too large" in found
        return
    content = content_of(item_of(found))
    assert (content.data, content.metadata) == (text, found.metadata)
    assert content.size_bytes == len(text.encode("utf-8", "surrogatepass"))
    assert 0 <= content.mtime_ns < 1 << 63
    assert content.is_record


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reading(lines):
    read(lines)
