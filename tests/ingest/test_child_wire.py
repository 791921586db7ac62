"""What goes through the pipes comes out the same; what no extractor gives is refused."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.chunking.protocol import Segment
from embedwell.ingest import child_wire as wire
from embedwell.ingest.extracted import Extracted, LineMap, own_lines
from embedwell.ingest.formats import format_of

words = st.text(st.characters(exclude_categories=["Cs"]))


@st.composite
def extracted(draw):
    text = draw(words)
    edges = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8).filter(len_is_even)))
    paths = st.lists(words, max_size=3).map(tuple)
    segments = [
        Segment(start, end, draw(paths), draw(words))
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    ]
    return Extracted(text, segments, own_lines(text), draw(st.lists(words, max_size=2)))


def len_is_even(values):
    return len(values) % 2 == 0


@given(extracted())
def test_what_was_extracted_comes_out_the_same(sent):
    taken = wire.decode_answer(wire.encode(wire.found(sent)))
    assert isinstance(taken, Extracted)
    assert (taken.text, taken.segments, taken.notes) == (sent.text, sent.segments, sent.notes)
    assert taken.line_of.offsets.tolist() == sent.line_of.offsets.tolist()
    assert taken.line_of.lines.tolist() == sent.line_of.lines.tolist()


@pytest.mark.parametrize("name", ["a.pdf", "a.py", "noted"])
def test_a_job_comes_out_the_same(name):
    job = wire.Job(format_of(name), False, 1.5)
    assert wire.decode_job(wire.encode(job)) == job


def answer(text="abc", segments=((0, 3, (), ""),), offsets=(0, 2), lines=(1, 2)):
    pair = [np.array(values, dtype=np.int64).tobytes() for values in (offsets, lines)]
    return wire.encode(wire.Found(text, list(segments), *pair, []))


def test_a_sound_answer_is_taken():
    assert isinstance(wire.decode_answer(answer()), Extracted)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode(["found", 1]),
        msgspec.msgpack.encode(["other", "x"]),
        answer(segments=[(0, 4, (), "")]),
        answer(segments=[(2, 1, (), "")]),
        answer(segments=[(1, 3, (), ""), (0, 1, (), "")]),
        answer(segments=[(-1, 3, (), "")]),
        answer(offsets=(), lines=()),
        answer(offsets=(0, 1), lines=(1,)),
        answer(offsets=(1, 2)),
        answer(offsets=(0, 2, 1), lines=(1, 2, 3)),
        answer(lines=(1, 0)),
    ],
    ids=[
        "nothing",
        "no message",
        "too short",
        "unknown",
        "beyond the end",
        "backwards",
        "out of order",
        "before the text",
        "no lines",
        "uneven",
        "not from 0",
        "lines out of order",
        "line 0",
    ],
)
def test_what_no_extractor_gives_is_refused(message):
    with pytest.raises(ValueError, match=r"."):
        wire.decode_answer(message)


def test_the_lines_of_an_empty_text_are_kept():
    empty = Extracted("", [], LineMap(*np.array([[0], [1]], dtype=np.int64)))
    assert wire.decode_answer(wire.encode(wire.found(empty))).line_of(0) == 1
