from __future__ import annotations

import pytest

from embedwell.app.config.sizes import format_bytes, parse_budget, parse_bytes


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("4096", 4096), ("1KB", 1000), ("2MiB", 2 << 20), ("1.5 GiB", 3 << 29), ("7B", 7)],
)
def test_sizes(text, n_bytes):
    assert parse_bytes(text) == n_bytes


@pytest.mark.parametrize("text", ["", "x", "1XB", "-1", "1.2.3"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="is no size"):
        parse_bytes(text)


def test_a_budget_is_a_share_or_a_size_and_never_above_the_total():
    assert parse_budget("50%", 1000) == 500
    assert parse_budget("200", 1000) == 200
    assert parse_budget("2000", 1000) == 1000


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 40, "3072.0 GiB"),
    ],
)
def test_sizes_for_people(n_bytes, text):
    assert format_bytes(n_bytes) == text
