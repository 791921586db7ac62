"""Text files: decoded, segmented, with exact lines."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedwell.core.errors import ExtractionError
from embedwell.ingest.extract import EXTRACTORS, extract, extract_text
from embedwell.ingest.extracted import own_lines
from embedwell.ingest.formats import ROWS, format_of


def test_offsets_and_lines_are_exact_with_any_line_end():
    page = extract("# A\r\n\r\nété\r\n## B\rsuite\n".encode(), format_of("a.md"))
    assert page.text == "# A\r\n\r\nété\r\n## B\rsuite\n"
    assert [page.line_of(page.text.index(word)) for word in ("A", "été", "B", "suite")] == [
        1,
        3,
        4,
        5,
    ]
    assert page.line_of(len(page.text) - 1) == 5


@settings(deadline=None)
@given(st.text(st.sampled_from("ab\r\n"), max_size=40))
def test_lines_are_counted_as_editors_do(text):
    line_of, line = own_lines(text), 1
    for at, character in enumerate(text):
        assert line_of(at) == line
        if character == "\n" or (character == "\r" and text[at + 1 : at + 2] != "\n"):
            line += 1


@pytest.mark.parametrize("name", ["a.py", "a.md", "a.rst", "a.txt", "a.rb", "a.html"])
@pytest.mark.parametrize("data", [b"", b" \n\t\r\n", b"\xef\xbb\xbf"])
def test_empty_files_have_no_segments(name, data):
    assert list(extract(data, format_of(name)).segments) == []


@pytest.mark.parametrize("name", ["a.py", "a.md", "a.txt", "a.html", "a.ipynb"])
def test_binary_files_are_refused(name):
    with pytest.raises(ExtractionError, match="binary"):
        extract(bytes(range(256)) * 8, format_of(name))


def test_code_in_latin_1_keeps_its_symbols():
    source = "# -*- coding: latin-1 -*-\n\nX = 1\n\ndef été():\n    return 'ça'\n"
    page = extract(source.encode("latin-1"), format_of("a.py"))
    assert [part.title for part in page.segments] == ["", "été"]


def test_every_reader_is_used_and_exists():
    assert {row.format.extractor for row in ROWS} == set(EXTRACTORS)


@pytest.mark.parametrize("text", ["\0", "a\0\ud800b", "\x01\x02", "", "\ufeffété"])
def test_texts_of_programs_are_never_binary(text):
    page = extract_text(text, format_of("a.txt"))
    assert page.text == text.replace("\0", "\ufffd").replace("\ud800", "\ufffd")
    assert len(page.segments) == bool(text)
