"""Words, globs and metadata, without a store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.core.errors import QueryError, StoreError
from embedwell.stores.filters import canonical, check_filter, path_pattern
from embedwell.stores.values import Filter
from embedwell.stores.words import (
    FREE_MATCHES,
    MAX_QUERY_WORDS,
    name_pieces,
    query_words,
    telling_words,
)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("parseConfig", "parse Config"),
        ("HTTPServer", "HTTP Server"),
        ("getHTTP2Response", "get HTTP2 Response"),
        ("IDs of APIs", ""),
        ("a Class of snake_case words", ""),
        ("SHOUTING lower Title", ""),
        ("utf8 sha256", ""),
        ("myVar + myVar", "my Var my Var"),
        ("Été déjàVu", "déjà Vu"),
        ("", ""),
    ],
)
def test_names_fall_into_their_words(text, pieces):
    assert " ".join(name_pieces(text)) == pieces


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("How to parse?", "how to parse"),
        ("parseConfig()", "parseconfig parse config"),
        ("a a A", "a"),
        ('"x" OR (y*)', "x or y"),
        ("e\u0301te\u0301", "été"),
        ("😀 … \0", ""),
    ],
)
def test_a_query_becomes_words(query, words):
    assert " ".join(query_words(query)) == words


@given(st.text())
def test_words_of_any_text_are_plain_and_few(text):
    words = query_words(text)
    assert len(words) <= MAX_QUERY_WORDS
    assert all('"' not in word and "\0" not in word and word.strip() for word in words)
    assert len(set(words)) == len(words)


def test_common_words_are_left_out_while_rarer_ones_remain():
    n = 100_000
    assert telling_words({"the": n, "rare": 3, "some": 900}, n) == ["rare", "some"]
    assert telling_words({"the": n}, n) == ["the"]
    assert telling_words({}, n) == []
    assert telling_words({"the": FREE_MATCHES, "a": FREE_MATCHES // 2}, 0) == ["a"]
    assert telling_words({"the": 300, "a": 300, "of": 300}, 300) == ["the", "a", "of"]


@pytest.mark.parametrize(
    ("glob", "key", "matches"),
    [
        ("*.py", "a.py", True),
        ("*.py", "x/y/a.py", True),
        ("./src/*.py", "src/a.py", True),
        ("/src/*.py", "src/a.py", True),
        ("src/*.py", "src/x/a.py", False),
        ("src/**/*.py", "src/a.py", True),
        ("src/**/*.py", "src/x/y/a.py", True),
        ("**", "any/thing", True),
        ("src/**", "src/x/y", True),
        ("src/**", "srcs", False),
        ("a?c", "abc", True),
        ("x/a?c", "x/a/c", False),
        ("[ab].md", "b.md", True),
        ("[!ab].md", "b.md", False),
        ("[a-c].md", "b.md", True),
        ("[^a].md", "^.md", True),
        ("x/[!a]", "x//", False),
        ("[.md", "[.md", True),
        ("[z-a].md", "b.md", False),
        ("[!z-a].md", "b.md", True),
        ("[!].md", "[!].md", True),
        ("a.md", "a_md", False),
        ("é*.md", "été.md", True),
        ("new\nline", "new\nline", True),
    ],
)
def test_globs(glob, key, matches):
    assert (path_pattern(glob).fullmatch(key) is not None) is matches


@pytest.mark.parametrize("path", ["a*b*c*d*e*f", "*?*?*?*?*?", "**/" * 5 + "a", "a/*b*b*b*b*b/c"])
def test_paths_that_would_take_for_ever_are_refused(path):
    with pytest.raises(QueryError, match="too many wildcards"):
        check_filter(Filter(path=path))


@pytest.mark.parametrize("path", ["src/**/test_*_*.py", "*" * 200 + "x", "a*b*c*d*e/*f*g"])
def test_other_paths_are_quick(path):
    check_filter(Filter(path=path))
    assert not path_pattern(path).fullmatch("a" * 100 + "/" + "b" * 100)


@given(st.text(st.characters(exclude_characters="*?[/."), min_size=1))
def test_a_glob_without_wildcards_matches_itself(text):
    assert path_pattern(text).fullmatch(text)


@given(st.text("*?[]!/^-ab&~|\\", max_size=12), st.text("ab/-", max_size=5))
def test_any_glob_is_understood(glob, key):
    path_pattern(glob).fullmatch(key)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), ({"b": 1, "a": 2}, {"a": 2, "b": 1}), ((1, 2), [1, 2])],
)
def test_equal_values_have_one_form(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, "1"), (None, "null"), (0, False)])
def test_different_values_have_different_forms(one, other):
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), b"x"])
def test_what_is_not_json_is_refused(value):
    with pytest.raises(StoreError, match="not JSON"):
        canonical(value)
