"""The tokenizer in a GGUF file gives the ids of the published one."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf_models import tiny_bert, tiny_pairs, tiny_xlmr
from gguf_writer import write_gguf
from tokenizers import Tokenizer

from embedwell.core.errors import ConversionError
from embedwell.models.calibration_texts import calibration_texts
from embedwell.models.gguf.charsmap import check_charsmap
from embedwell.models.gguf.header import GgufHeader, read_header
from embedwell.models.gguf.tokenizer import tokenizer_json
from embedwell.models.source import SourceFiles


def natural_texts() -> list[str]:
    return [text for text in calibration_texts() if text]


def odd_texts(n_texts: int) -> list[str]:
    rng = random.Random(3)
    ranges = ((32, 0x7E), (0, 0x2FFF), (0x3000, 0xD7FF), (0xE000, 0x1FFFF))
    return [
        "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(rng.randint(1, 40)))
        for _ in range(n_texts)
    ]


def changed(header: GgufHeader, **fields) -> GgufHeader:
    """A header whose tokenizer fields are others; None takes one away."""
    new = {f"tokenizer.ggml.{key}": value for key, value in fields.items()}
    held = {key: value for key, value in {**header.fields, **new}.items() if value is not None}
    return GgufHeader(header.path, held, header.tensors)


def assert_same_ids(header: GgufHeader, ids_of: Callable[[str], list[int]], texts: list[str]):
    ours = Tokenizer.from_str(tokenizer_json(header))
    wrong = [text for text in texts if ours.encode(text).ids != ids_of(text)]
    assert wrong == []


def test_pieces_of_the_real_model_are_the_published_ones(real_source: SourceFiles, tmp_path: Path):
    folder = real_source.paths["config.json"].parent
    if not (folder / "tokenizer.json").is_file():  # kept under their hashes
        folder = tmp_path / "published"
        folder.mkdir()
        for name, path in real_source.paths.items():
            (folder / name).symlink_to(path)
    header = read_header(write_gguf(folder, tmp_path / "x.gguf", "Q8_0"))
    published = Tokenizer.from_file(str(folder / "tokenizer.json"))
    published.no_padding()
    published.no_truncation()
    texts = [*natural_texts(), *odd_texts(3000), "", "[MASK]ing [CLS]", "x" * 101, "Ünïcode ÉTÉ"]
    assert_same_ids(header, lambda text: published.encode(text).ids, texts)


def test_a_vocabulary_with_capitals_and_accents_keeps_them(tmp_path: Path):
    folder = tiny_bert(tmp_path / "cased", words=("Paris", "été", "ville"))
    header = read_header(write_gguf(folder, tmp_path / "x.gguf"))
    tokens = Tokenizer.from_str(tokenizer_json(header)).encode("Paris été").tokens
    assert tokens == ["[CLS]", "Paris", "été", "[SEP]"]


def test_the_file_can_say_that_it_lowers_and_strips(tmp_path: Path):
    folder = tiny_bert(tmp_path / "cased", words=("Paris", "paris", "ete"))
    header = read_header(write_gguf(folder, tmp_path / "x.gguf"))
    said = changed(header, **{"normalizer.lowercase": True, "normalizer.strip_accents": True})
    tokens = Tokenizer.from_str(tokenizer_json(said)).encode("Paris été").tokens
    assert tokens == ["[CLS]", "paris", "ete", "[SEP]"]


def test_unigram_ids_are_those_of_sentencepiece_and_of_the_published_file(tmp_path: Path):
    processor = tiny_xlmr(tmp_path / "xlmr", natural_texts())
    header = read_header(write_gguf(tmp_path / "xlmr", tmp_path / "x.gguf"))
    published = Tokenizer.from_file(str(tmp_path / "xlmr" / "tokenizer.json"))
    texts = [*natural_texts(), *odd_texts(500), "  two   spaces \n and\ta tab ", "ﬁn ①½", ""]
    assert_same_ids(header, lambda text: published.encode(text).ids, texts)

    def of_sentencepiece(text: str) -> list[int]:
        unknown = processor.unk_id()
        ids = [3 if n == unknown else n + 1 for n in processor.encode(text)]
        return [0, *ids, 2]

    assert_same_ids(header, of_sentencepiece, natural_texts())


def test_two_texts_of_a_pair_stand_as_in_the_published_tokenizer(tmp_path: Path):
    tiny_xlmr(tmp_path / "xlmr", natural_texts())
    header = read_header(write_gguf(tmp_path / "xlmr", tmp_path / "x.gguf"))
    ours = Tokenizer.from_str(tokenizer_json(header))
    published = Tokenizer.from_file(str(tmp_path / "xlmr" / "tokenizer.json"))
    assert ours.encode("a", "b").ids == published.encode("a", "b").ids
    folder = tiny_bert(tmp_path / "bert")
    ours = Tokenizer.from_str(tokenizer_json(read_header(write_gguf(folder, tmp_path / "b.gguf"))))
    published = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert ours.encode("hello", "world").ids == published.encode("hello", "world").ids
    assert ours.encode("hello", "world").type_ids == published.encode("hello", "world").type_ids


def test_byte_pairs_are_the_published_ones(tmp_path: Path):
    published = tiny_pairs(tmp_path / "pairs", natural_texts())
    header = read_header(write_gguf(tmp_path / "pairs", tmp_path / "x.gguf"))
    texts = [*natural_texts(), *odd_texts(500), "a <mask> b", ""]
    assert_same_ids(header, lambda text: published.encode(text).ids, texts)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"model": "rwkv"}, "of the kind 'rwkv'"),
        ({"model": None}, "no 'tokenizer.ggml.model'"),
        ({"tokens": None}, "no 'tokenizer.ggml.tokens'"),
        ({"tokens": ["a", "a"], "token_type": None}, "two of its tokens are the same"),
        ({"tokens": ["a"]}, "1 tokens, but"),
        ({"tokens": [str(n) for n in range(9000)], "token_type": None}, "9000 tokens, but"),
        ({"bos_token_id": 10**6}, "which no token is"),
        ({"merges": None, "model": "gpt2"}, "no 'tokenizer.ggml.merges'"),
        ({"merges": ["not there"], "model": "gpt2"}, "does not work"),
        ({"scores": np.zeros(3), "model": "t5"}, "no score for each"),
    ],
)
def test_a_tokenizer_that_contradicts_itself_is_refused(tmp_path: Path, fields, complaint: str):
    header = read_header(write_gguf(tiny_bert(tmp_path / "tiny"), tmp_path / "x.gguf"))
    with pytest.raises(ConversionError, match=complaint):
        tokenizer_json(changed(header, **fields))


def test_special_tokens_are_found_by_their_usual_names(tmp_path: Path):
    header = read_header(write_gguf(tiny_bert(tmp_path / "tiny"), tmp_path / "x.gguf"))
    silent = dict.fromkeys(
        ("bos_token_id", "eos_token_id", "seperator_token_id", "unknown_token_id")
    )
    assert tokenizer_json(changed(header, **silent)) == tokenizer_json(header)
    renamed = [f"{token}?" for token in header.texts("tokenizer.ggml.tokens")]
    with pytest.raises(ConversionError, match="bos_token_id"):
        tokenizer_json(changed(header, tokens=renamed, **silent))


def test_a_damaged_table_of_characters_is_refused(tmp_path: Path):
    tiny_xlmr(tmp_path / "xlmr", natural_texts())
    header = read_header(write_gguf(tmp_path / "xlmr", tmp_path / "x.gguf"))
    key = "tokenizer.ggml.precompiled_charsmap"
    sound = header.numbers(key).astype(np.uint8).tobytes()
    assert check_charsmap(sound) == ""
    assert "cut short" in check_charsmap(sound[:2])
    assert "cut short" in check_charsmap(b"\xff\xff\xff\x7f" + sound[4:])
    n_trie = int.from_bytes(sound[:4], "little")
    assert "not there" in check_charsmap(sound[: 4 + n_trie] + b"a")
    assert "no text" in check_charsmap(sound + b"\xff")
    assert "branches" in check_charsmap(sound[:4] + b"\0\0\xff\x7f" + sound[8:])
    damaged = changed(header, precompiled_charsmap=np.frombuffer(sound[:100], np.uint8))
    with pytest.raises(ConversionError, match="is cut short"):
        tokenizer_json(damaged)


def test_tokens_that_the_user_defined_are_found_first(tmp_path: Path):
    folder = tiny_bert(tmp_path / "tiny")
    header = read_header(write_gguf(folder, tmp_path / "x.gguf"))
    types = header.numbers("tokenizer.ggml.token_type").copy()
    place = header.texts("tokenizer.ggml.tokens").index("\u2581hello")
    types[place] = gguf.TokenType.USER_DEFINED
    made = json.loads(tokenizer_json(changed(header, token_type=types)))
    added = next(token for token in made["added_tokens"] if token["id"] == place)
    assert not added["special"]
    assert added["content"] == "hello"
