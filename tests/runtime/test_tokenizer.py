from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library

from embedwell.core.errors import WrongBytesError
from embedwell.runtime.printable import printable
from embedwell.runtime.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(real_source):
    return Tokenizer(real_source.paths["tokenizer.json"], max_tokens=256)


@pytest.fixture(scope="module")
def library(real_source):
    whole = Library.from_file(str(real_source.paths["tokenizer.json"]))
    whole.no_padding()
    whole.no_truncation()
    return whole


def test_ids_match_the_published_ones(tokenizer, data):
    published = json.loads((data / "reference/tokenizer_ids.json").read_text("utf-8"))
    cases = published["models"]["Xenova/bert-base-uncased"]
    del cases["TEXT_PAIR"]  # one text is embedded at a time
    assert len(cases) > 10
    for name, case in cases.items():
        assert tokenizer.encode([case["text"]])[0].ids.tolist() == case["ids"], name


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=50), st.integers(1, 3000))
def test_the_cut_is_where_the_whole_text_would_be_cut(tokenizer, library, word, times):
    text = f"{word} " * times
    ids = library.encode(printable(text)).ids
    expected = ids if len(ids) <= 256 else [*ids[:255], ids[-1]]
    assert tokenizer.encode([text])[0].ids.tolist() == expected


def test_the_number_of_tokens_before_the_cut_is_told(tokenizer):
    short, long = tokenizer.encode(["hello world", "word " * 1000])
    assert (short.n_tokens, long.n_tokens) == (4, 1002)
    assert len(long.ids) == 256


def test_a_long_text_is_read_in_part_and_its_count_estimated(tokenizer):
    (found,) = tokenizer.encode(["word " * 100_000])
    assert len(found.ids) == 256
    assert found.n_tokens == pytest.approx(100_002, rel=0.01)


@pytest.mark.parametrize("text", ["", " ", "\0", "\ud800 alone", "a" * 100_000, "😀" * 1000])
def test_odd_texts_have_ids(tokenizer, text):
    (found,) = tokenizer.encode([text])
    assert found.ids[0] == 101
    assert found.ids[-1] == 102


def test_starts_are_code_points(tokenizer):
    text = "Où ça ? 😀 naïve"
    words = [text[start:] for start in tokenizer.starts(text)]
    assert [word[0] for word in words] == ["O", "ç", "?", "😀", "n"]


def test_starts_of_a_long_text_are_those_of_the_whole(tokenizer, library):
    text = "été comme hiver, unbelievably " * 6000
    offsets = library.encode(text, add_special_tokens=False).offsets
    assert np.array_equal(tokenizer.starts(text), [start for start, _ in offsets])


def test_a_broken_tokenizer_file_is_named(tmp_path):
    file = tmp_path / "tokenizer.json"
    file.write_text("{}")
    with pytest.raises(WrongBytesError, match=r"tokenizer\.json cannot be read"):
        Tokenizer(file, 256)
