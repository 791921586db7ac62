"""Errors that differ only by names and numbers are of one kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.jobs.progress.kinds import by_kind, kind_of
from embedwell.stores.queue import Entry, Item


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "The PDF is broken (EOF marker not found). Get it again.",
            "The PDF is broken (no /Root). Open it in a viewer.",
        ),
        ("extracting took longer than 60 s", "extracting took longer than 5.5 s"),
        ("a/b.pdf needs 1,200 MB to be read.", "c.pdf needs 900 MB to be read."),
        ("passage 3 of 17: bad text", "passage 11 of 12: bad text"),
        ("[Errno 13] Permission denied: '/a/b c'", "[Errno 13] Permission denied: '/d'"),
    ],
)
def test_one_kind(one, other):
    assert kind_of(one) == kind_of(other)


def test_what_is_wrong_stays_readable_and_apart():
    assert kind_of("The PDF is encrypted. Save it without a password.") == "The PDF is encrypted"
    assert kind_of("The PDF has no pages. Remove it.") != kind_of("The PDF is encrypted.")
    assert kind_of("  ") == "says nothing"


@given(st.text())
def test_any_error_has_a_short_kind(error):
    assert 0 < len(kind_of(error)) <= 100
    assert "\n" not in kind_of(error)


def test_the_most_frequent_comes_first_with_an_example():
    errors = ["broken (1)", "gone", "broken (2)", "broken (3)"]
    entries = [
        Entry(Item(f"{n}.pdf", "pdf", 1, 1), "s", "failed", 1, 0, error, "w", 1)
        for n, error in enumerate(errors)
    ]
    first, second = by_kind(entries)
    assert (first.kind, first.n, first.example, first.error) == (
        "broken …",
        3,
        "0.pdf",
        "broken (1)",
    )
    assert (second.kind, second.n) == ("gone", 1)
