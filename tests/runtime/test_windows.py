from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from embedwell.runtime.windows import windows

texts = st.lists(st.one_of(st.text(max_size=20), st.none()), max_size=60)


@given(texts, st.integers(1, 10), st.integers(1, 50))
def test_parts_hold_every_text_once_and_keep_to_both_bounds(texts, n_texts, n_characters):
    found = list(windows(texts, n_texts, n_characters))
    assert [at for begin, end in found for at in range(begin, end)] == list(range(len(texts)))
    for begin, end in found:
        size = sum(len(text or "") for text in texts[begin:end])
        assert end - begin <= n_texts
        assert size <= n_characters or end - begin == 1 or not any(texts[begin + 1 : end])


def test_a_part_is_as_large_as_the_bounds_let_it():
    assert list(windows(["a"] * 5, 2, 100)) == [(0, 2), (2, 4), (4, 5)]
    assert list(windows(["abc", "de", "fghi"], 9, 5)) == [(0, 2), (2, 3)]
