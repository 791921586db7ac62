"""Chunks cover a text, fit the model and keep together what belongs together."""

import re
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedwell.chunking import prose, registry
from embedwell.chunking.chunker import chunk
from embedwell.chunking.protocol import Segment
from embedwell.chunking.registry import CHUNKERS, find_segmenter
from embedwell.chunking.titles import titled
from embedwell.core.errors import ExtractionError
from embedwell.testing import word_starts

ODD = "ab é🙂\u0301\u3000\n\r\t \0\ud800#*`-=.(){}:;\u200b"
texts = st.one_of(
    st.text(st.sampled_from(ODD), max_size=300),
    st.text(max_size=200),
    st.lists(
        st.sampled_from(["# A", "## B", "```", "def f(x):", "    return 1", "", "class A:", "- x",
                         "Titre", "=====", "-----", "| a | b |", "un mot après l'autre. Fin.",
                         "int f() {", "}", "<!--", "-->", ".. note::", "x" * 90]),
        max_size=40,
    ).map("\n".join),
)  # fmt: skip
paths = st.lists(st.sampled_from(["A", "B", "un très long titre " * 3]), max_size=4).map(tuple)


def piece_starts(text):
    """Tokens of at most three characters, the blank before a word in its first one."""
    starts = [match.start() for match in re.finditer(r"\s?\S{1,3}", text)]
    return np.array(starts, dtype=np.int64)


def passages(chunks, text):
    return [text[part.start : part.end] for part in chunks]


def assert_whole(text, chunks):
    """In order, no overlap, no outer blanks, every character that is not blank in one chunk."""
    at, covered = 0, ""
    for part in chunks:
        assert part.start >= at
        assert part.end > part.start
        passage = text[part.start : part.end]
        assert passage == passage.strip()
        covered += passage
        at = part.end
    assert "".join(covered.split()) == "".join(text.split())


@settings(deadline=None)
@given(
    texts,
    st.sampled_from(sorted(CHUNKERS)),
    st.sampled_from(["", "python", "tsx", "c", "rust"]),
    st.integers(1, 40),
    st.sampled_from([word_starts, piece_starts]),
)
def test_every_segmenter_loses_nothing_and_every_chunk_fits(
    text, segmenter, language, limit, token_starts
):
    segments = find_segmenter(segmenter)(text, language)
    chunks = chunk(text, segments, token_starts, limit)
    assert_whole(text, chunks)
    for part in chunks:
        embedded = titled(part.title, text[part.start : part.end])
        assert len(token_starts(embedded)) <= limit


@settings(deadline=None)
@given(
    st.text(st.sampled_from(ODD), max_size=120),
    st.lists(st.tuples(st.integers(-5, 130), st.integers(-5, 130), paths), max_size=8),
    st.integers(1, 12),
)
def test_careless_segmenters_lose_nothing(text, spans, limit):
    segments = [Segment(start, end, path) for start, end, path in spans]
    assert_whole(text, chunk(text, segments, word_starts, limit))


@pytest.mark.parametrize("text", ["", " ", "\n\r\n\t\u3000", " " * 200_000])
def test_blank_texts_have_no_chunks(text):
    assert chunk(text, [Segment(0, len(text))], word_starts, 10) == []


@pytest.mark.parametrize(
    "text",
    ["x" * 300_000, "mot " * 100_000, "a" + " " * 300_000 + "b", "été, " * 60_000, "\0" * 100_000],
    ids=["one word", "one line", "blank between", "no line end", "controls"],
)
def test_endless_lines_become_chunks_of_readable_length(text):
    chunks = chunk(text, [Segment(0, len(text))], word_starts, 254)
    assert_whole(text, chunks)
    assert max(part.end - part.start for part in chunks) <= 254 * 64


def test_tokenizer_never_sees_more_than_a_window():
    longest = 0

    def watched(text):
        nonlocal longest
        longest = max(longest, len(text))
        return word_starts(text)

    chunk("mot " * 60_000, [Segment(0, 240_000)], watched, 100)
    assert longest <= 65_536


@pytest.mark.parametrize(("word", "is_asked"), [("word ", False), ("été ", True)])
def test_a_text_that_fits_whatever_the_tokenizer_is_not_tokenized(word, is_asked):
    asked = []

    def watched(text):
        asked.append(text)
        return word_starts(text)

    text = word * 19
    assert len(chunk(text, [Segment(0, len(text))], watched, 100)) == 1
    assert bool(asked) == is_asked


def test_a_word_is_cut_only_where_it_does_not_fit():
    text = "abc defghijkl mno"
    chunks = chunk(text, [Segment(0, len(text))], piece_starts, 2)
    assert passages(chunks, text) == ["abc", "defghi", "jkl mno"]


def test_a_cut_word_is_counted_again():
    def greedy(text):  # one token for words of more than eight letters, else one a letter
        starts = []
        for match in re.finditer(r"\S+", text):
            step = 1 if len(match.group()) <= 8 else len(match.group())
            starts += range(match.start(), match.end(), step)
        return np.array(starts, dtype=np.int64)

    text = "a" * 300
    chunks = chunk(text, [Segment(0, 300)], greedy, 4)
    assert_whole(text, chunks)
    assert all(len(greedy(text[part.start : part.end])) <= 4 for part in chunks)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b c\nd e\n\nf g h\ni j k", ["a b c\nd e", "f g h\ni j k"]),
        ("a b c\nd e f g\nh i j k", ["a b c\nd e f g", "h i j k"]),
        ("a b c d e. F g h i j k", ["a b c d e.", "F g h i j k"]),
        ("a b c d e f g h i j k", ["a b c d e f", "g h i j k"]),
        ("if a:\n  b c\n  d e f\ng h i j k", ["if a:\n  b c\n  d e f", "g h i j k"]),
        ("a b\rc d e\rf g h i j k", ["a b\rc d e", "f g h i j k"]),
    ],
    ids=["blank line", "line", "sentence", "word", "less indented line", "old line end"],
)
def test_long_segments_are_cut_at_the_best_boundary(text, expected):
    assert passages(chunk(text, [Segment(0, len(text))], word_starts, 8), text) == expected


def test_a_block_that_fits_is_not_cut_for_the_sake_of_its_neighbour():
    text = "intro mots\n\n" + "l m n\n" * 3
    segments = [Segment(0, 12, ("T",)), Segment(12, len(text), ("T",))]
    assert passages(chunk(text, segments, word_starts, 10), text) == [
        "intro mots",
        "l m n\nl m n\nl m n",
    ]


def make(*parts):
    """A text of segments; each is its path and its number of words."""
    text, segments = "", []
    for path, n_words in parts:
        start = len(text)
        text += " ".join("w" * n_words) + "\n\n"
        segments.append(Segment(start, len(text), tuple(path)))
    return text, segments


def titles(limit, *parts):
    text, segments = make(*parts)
    return [
        (part.title, len(text[part.start : part.end].split()))
        for part in chunk(text, segments, word_starts, limit)
    ]


def test_a_class_that_fits_stays_whole():
    assert titles(40, ("A", 5), ("Af", 10), ("Ag", 12), ("B", 30)) == [("A", 27), ("B", 30)]


def test_members_of_a_class_that_does_not_fit_get_their_own_titles():
    assert titles(20, ("A", 2), ("Af", 15), ("Ag", 16)) == [("A", 2), ("A > f", 15), ("A > g", 16)]


def test_small_neighbours_below_the_same_title_are_joined():
    parts = [("A" + name, 4) for name in "bcdefg"]
    assert titles(24, ("A", 1), *parts, ("Ah", 20)) == [("A", 21), ("A > g", 4), ("A > h", 20)]


def test_functions_of_a_file_that_are_not_small_stay_apart():
    assert titles(40, ("f", 15), ("g", 15)) == [("f", 15), ("g", 15)]


def test_small_functions_of_a_file_are_joined():
    assert titles(40, ("f", 5), ("g", 5), ("h", 30)) == [("", 10), ("h", 30)]


def test_long_titles_lose_their_outer_parts_then_their_middle():
    text, segments = make((["un long titre", "un autre", "dernier"], 3))
    segment = segments[0]
    assert chunk(text, [segment], word_starts, 24)[0].title == "… > un autre > dernier"
    assert chunk(text, [segment], word_starts, 12)[0].title == "… > dernier"
    middle = [Segment(0, len(text), ("aaaa bbbb cccc dddd eeee ffff",))]
    assert chunk(text, middle, word_starts, 12)[0].title == "aaaa b…e ffff"
    assert chunk(text, middle, word_starts, 3)[0].title == ""


def test_very_deep_paths_are_bounded():
    deep = tuple(str(level) for level in range(5_000))
    text = "mot " * 50
    segments = [Segment(0, 100, deep), Segment(100, 200, (*deep, "x"))]
    assert_whole(text, chunk(text, segments, word_starts, 10))


def test_unknown_chunkers_are_refused_by_name():
    with pytest.raises(ExtractionError, match="no chunker 'nope'"):
        find_segmenter("nope")


def test_installed_packages_add_chunkers(monkeypatch):
    def installed(*, group, name):
        assert (group, name) == ("embedwell.chunkers", "mine")
        return [EntryPoint("mine", "embedwell.chunking.prose:segments", group)]

    monkeypatch.setattr(registry, "entry_points", installed)
    assert find_segmenter("mine") is prose.segments
