"""The tokenizer inside a GGUF file, as the JSON that the library `tokenizers` reads."""

from __future__ import annotations

import json
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from embedwell.models.gguf.charsmap import check_charsmap
from embedwell.models.gguf.header import GgufHeader, read_header
from embedwell.models.tokenizer_file import try_out

# llama.cpp marks where words begin; BERT's published vocabulary marks where they go on.
_WORD_START, _GOES_ON = "\u2581", "##"
_CONTROL, _USER_DEFINED = 3, 4  # of `enum llama_token_type`
_LONGEST_WORD = 100  # in characters; longer words are unknown, as in all published BERT tokenizers
# A vocabulary of lower-case words has no other words; this share of odd ones is let pass.
_ODD_SHARE = 0.01

_KEY = "tokenizer.ggml."
_BPE_WITH_NFC = frozenset({"modern-bert"})


def write_tokenizer(path: Path, target: Path) -> None:
    """Write the tokenizer in a GGUF file as `tokenizer.json`; raises as `tokenizer_json` does."""
    target.write_text(tokenizer_json(read_header(path)), "utf-8")


def tokenizer_json(header: GgufHeader) -> str:
    """The tokenizer as JSON: the same token ids as the published one's.

    Raises:
        ConversionError: There is no tokenizer, it is of an unknown kind or contradicts itself.
    """
    kind = header.text(f"{_KEY}model")
    makers = {"bert": _pieces, "t5": _unigram, "gpt2": _pairs}
    if kind not in makers:
        raise header.wrong(
            f"it has a tokenizer of the kind '{kind}', but known are {', '.join(makers)}"
        )
    vocabulary = _Vocabulary(header)
    parts = makers[kind](header, vocabulary)
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": vocabulary.added(),
        "post_processor": vocabulary.template(),
        **parts,
    }
    text = json.dumps(whole, ensure_ascii=False)
    _try_out(header, text, len(vocabulary.tokens))
    return text


class _Vocabulary:
    """The tokens by id, which of them are special, and what stands around a text."""

    def __init__(self, header: GgufHeader) -> None:
        self._header = header
        self.tokens = header.texts(f"{_KEY}tokens")
        types = header.numbers(f"{_KEY}token_type", np.ones(len(self.tokens), np.int32))
        if len(types) != len(self.tokens):
            raise header.wrong(f"it has {len(self.tokens)} tokens, but {len(types)} types of them")
        if len(set(self.tokens)) < len(self.tokens):
            raise header.wrong("two of its tokens are the same")
        table = header.tensors["token_embd.weight"]
        if len(self.tokens) > table.shape[0]:
            raise header.wrong(f"it has {len(self.tokens)} tokens, but {table.shape[0]} vectors")
        self.first = self._special(("cls_token_id", "bos_token_id"), "[CLS]", "<s>")
        self.last = self._special(
            ("seperator_token_id", "eos_token_id"), "[SEP]", "</s>"
        )  # llama.cpp's spelling
        self.unknown = self._special(("unknown_token_id",), "[UNK]", "<unk>", default=self.first)
        named = {self.first, self.last, self.unknown}
        self.special = named | set(np.flatnonzero(types == _CONTROL).tolist())
        self.own = set(np.flatnonzero(types == _USER_DEFINED).tolist()) - self.special
        self.words = self.tokens
        if header.text(f"{_KEY}model") == "bert":
            self.words = [
                token if place in self.special else _published_piece(token)
                for place, token in enumerate(self.tokens)
            ]
            if len(set(self.words)) < len(self.words):
                raise header.wrong("two of its tokens are the same")

    def _special(self, keys: tuple[str, ...], *names: str, default: int | None = None) -> int:
        """An id: where the file names it, else that of the token with a usual name."""
        for key in keys:
            if _KEY + key in self._header.fields:
                place = self._header.count(_KEY + key)
                if place >= len(self.tokens):
                    raise self._header.wrong(f"'{_KEY}{key}' is {place}, which no token is")
                return place
        for name in names:
            if name in self.tokens:
                return self.tokens.index(name)
        if default is None:
            raise self._header.wrong(f"its tokenizer has no '{_KEY}{keys[-1]}'")
        return default

    def added(self) -> list[dict[str, Any]]:
        """The tokens that are found in a text before all others."""
        return [
            {
                "id": place,
                "content": self.words[place],
                "single_word": False,
                "lstrip": self.words[place] == "<mask>",
                "rstrip": False,
                "normalized": False,
                "special": place in self.special,
            }
            for place in sorted(self.special | self.own)
        ]

    def template(self) -> dict[str, Any]:
        """A token before each text and one after it; two after the first text of a pair."""
        first, last = self.tokens[self.first], self.tokens[self.last]
        xlm = [last] if first == "<s>" else []
        return {
            "type": "TemplateProcessing",
            "single": _sequence(first, "A", last),
            "pair": [
                *_sequence(first, "A", last, *xlm),
                *_sequence("B", last, type_id=0 if xlm else 1),
            ],
            "special_tokens": {
                name: {"id": name, "ids": [place], "tokens": [name]}
                for name, place in ((first, self.first), (last, self.last))
            },
        }


def _sequence(*names: str, type_id: int = 0) -> list[dict[str, Any]]:
    return [
        {"Sequence" if name in {"A", "B"} else "SpecialToken": {"id": name, "type_id": type_id}}
        for name in names
    ]


def _pieces(header: GgufHeader, vocabulary: _Vocabulary) -> dict[str, Any]:
    """WordPiece."""
    words = vocabulary.words
    plain = [word for place, word in enumerate(words) if place not in vocabulary.special]
    lowered = header.flag(f"{_KEY}normalizer.lowercase", default=_holds(plain, str.lower))
    stripped = header.flag(
        f"{_KEY}normalizer.strip_accents", default=lowered and _holds(plain, _without_accents)
    )
    return {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": stripped,
            "lowercase": lowered,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": _GOES_ON, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": words[vocabulary.unknown],
            "continuing_subword_prefix": _GOES_ON,
            "max_input_chars_per_word": _LONGEST_WORD,
            "vocab": {word: place for place, word in enumerate(words)},
        },
    }


def _published_piece(token: str) -> str:
    return token[1:] if token.startswith(_WORD_START) else _GOES_ON + token


def _holds(words: list[str], change: Callable[[str], str]) -> bool:
    """Whether nearly all words stay as they are: then the texts were changed so in training."""
    return sum(change(word) != word for word in words) <= _ODD_SHARE * len(words)


def _without_accents(word: str) -> str:
    apart = unicodedata.normalize("NFD", word)
    return "".join(mark for mark in apart if unicodedata.category(mark) != "Mn")


def _unigram(header: GgufHeader, vocabulary: _Vocabulary) -> dict[str, Any]:
    """SentencePiece's unigram model, as XLM-RoBERTa has it."""
    scores = header.numbers(f"{_KEY}scores").astype(np.float64)
    if len(scores) != len(vocabulary.tokens) or not np.isfinite(scores).all():
        raise header.wrong("it has no score for each of its tokens")
    spaces = {
        "type": "Metaspace",
        "replacement": _WORD_START,
        "prepend_scheme": "always"
        if header.flag(f"{_KEY}add_space_prefix", default=True)
        else "never",
        "split": True,
    }
    return {
        "normalizer": _charsmap(header),
        # llama.cpp's converter has nothing reliable of `remove_extra_whitespaces`; XLM-RoBERTa's
        # tokenizer removes them.
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "WhitespaceSplit"}, spaces],
        },
        "decoder": spaces,
        "model": {
            "type": "Unigram",
            "unk_id": vocabulary.unknown,
            "vocab": list(zip(vocabulary.tokens, scores.tolist(), strict=True)),
            "byte_fallback": False,
        },
    }


def _charsmap(header: GgufHeader) -> dict[str, Any] | None:
    key = f"{_KEY}precompiled_charsmap"
    if key not in header.fields:
        return None
    data = header.numbers(key).astype(np.uint8).tobytes()
    if reason := check_charsmap(data):
        raise header.wrong(f"'{key}' {reason}")
    return {"type": "Precompiled", "precompiled_charsmap": b64encode(data).decode()}


def _pairs(header: GgufHeader, vocabulary: _Vocabulary) -> dict[str, Any]:
    """Byte pairs, as RoBERTa, ModernBERT and Jina's code models have them."""
    bytes_to_marks = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    composed = header.text(f"{_KEY}pre", "default") in _BPE_WITH_NFC
    outside = vocabulary.special | vocabulary.own
    return {
        "normalizer": {"type": "NFC"} if composed else None,
        "pre_tokenizer": bytes_to_marks | {"use_regex": True},
        "decoder": bytes_to_marks | {"use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {
                token: place
                for place, token in enumerate(vocabulary.tokens)
                if place not in outside or _is_plain(token)
            },
            "merges": header.texts(f"{_KEY}merges"),
        },
    }


def _is_plain(token: str) -> bool:
    """Whether a token may stand in the model's own vocabulary beside being added."""
    return " " not in token


def _try_out(header: GgufHeader, text: str, n_tokens: int) -> None:
    """Refuse what the library would refuse later, without naming the file."""
    from tokenizers import Tokenizer  # noqa: PLC0415 - only conversion needs it here

    try:
        largest = try_out(Tokenizer.from_str(text))
    except Exception as error:
        raise header.wrong(f"its tokenizer does not work ({error})") from error
    if largest >= n_tokens:
        raise header.wrong("its tokenizer gives ids that no token has")
