"""Which lines are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.search.excerpt import Excerpt, excerpt

TEXT = """Installing

Get the wheel.
Then run it.

Configuration

Files are parsed with parseConfig(path).
Été comme hiver, the file is read once.
The end."""


@pytest.mark.parametrize(
    ("query", "n", "first", "shown"),
    [
        ("wheel", 1, 2, ["Get the wheel."]),
        (
            "configure files",
            3,
            5,
            ["Configuration", "", "Files are parsed with parseConfig(path)."],
        ),
        ("ETE", 1, 8, ["Été comme hiver, the file is read once."]),
        ("parse config", 1, 7, ["Files are parsed with parseConfig(path)."]),
        ("nothing of that", 2, 0, ["Installing"]),
        ("😀", 1, 0, ["Installing"]),
        ("the once", 1, 8, ["Été comme hiver, the file is read once."]),
        ("end", 5, 5, TEXT.splitlines()[5:]),
    ],
)
def test_the_window_with_most_words_of_the_query(query, n, first, shown):
    assert excerpt(TEXT, query, n) == Excerpt(first, tuple(shown))


@pytest.mark.parametrize("text", ["", " \n\t\n", "\n"])
def test_a_blank_passage_has_no_lines(text):
    assert excerpt(text, "anything", 3).lines == ()


@given(st.text(), st.text(), st.integers(1, 6))
def test_an_excerpt_is_lines_of_the_passage_without_blank_ends(text, query, n):
    lines = text.splitlines()
    found = excerpt(text, query, n)
    assert list(found.lines) == lines[found.first_line : found.first_line + len(found.lines)]
    assert len(found.lines) <= n
    if text.strip():
        assert found.lines[0].strip()
        assert found.lines[-1].strip()
