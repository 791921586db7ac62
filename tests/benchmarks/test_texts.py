import json
import random
import re

from benchmarks.peers.batches import batches
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import texts


def mark_words(text):
    """A tokenizer whose tokens are words and punctuation marks."""
    starts = [found.start() for found in re.finditer(r"\w+|[^\w\s]", text)]
    return [*((char, token) for token, char in enumerate(starts)), (len(text), len(starts))]


PASSAGES = {
    lang: [f"{lang} " + " ".join(f"word{i * j}, and" for j in range(1, 40)) for i in range(1, 9)]
    for lang in texts.MIX
}


@given(n_tokens=st.integers(1, 60), seed=st.integers())
def test_a_window_has_exactly_the_tokens_asked_for(n_tokens, seed):
    passage = PASSAGES["en"][0]
    window = texts.window(passage, mark_words(passage), n_tokens, random.Random(seed))
    assert len(mark_words(window)) - 1 == n_tokens
    assert window in passage


def test_a_passage_that_is_too_short_gives_no_window():
    assert texts.window("two words", mark_words("two words"), 3, random.Random(0)) is None


def test_cutting_gives_different_texts_in_turn_from_each_language_and_the_same_again():
    wanted = [12, 30, 7] * 5
    found = texts.cut(PASSAGES, wanted, mark_words, seed="a")
    assert found == texts.cut(PASSAGES, wanted, mark_words, seed="a")
    assert len(set(found)) == len(wanted)
    assert [len(mark_words(t)) - 1 + texts.SPECIAL_TOKENS for t in found] == wanted
    assert found != texts.cut(PASSAGES, wanted, mark_words, seed="b")


def test_odd_texts_are_the_same_every_time_and_can_be_written_as_utf8():
    assert texts.odd_texts() == texts.odd_texts()
    assert "" in texts.odd_texts()
    json.dumps(texts.odd_texts(), ensure_ascii=False).encode()


@given(st.lists(st.integers(1, 256), max_size=60))
def test_batches_hold_every_text_once_and_stay_within_their_tokens(lengths):
    found = list(batches(lengths, budget=512))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        assert max(lengths[i] for i in batch) * len(batch) <= 512
