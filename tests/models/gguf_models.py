"""Models with random weights, small enough to make in a test, with tokenizers of each kind."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
from safetensors.numpy import save_file
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from tokenizers.trainers import BpeTrainer

# The token to be guessed takes the space before it, as published.
_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)]


def write_random_bert(folder: Path, tokenizer: Path, width: int = 768, n_layers: int = 1) -> Path:
    """A BERT of random weights with a real tokenizer, wide enough for K-quants."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    n_words = len(json.loads(tokenizer.read_text("utf-8"))["model"]["vocab"])
    config = _bert_config(n_words, width, n_layers)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(_random_bert(config), folder / "model.safetensors")
    return folder


def tiny_bert(folder: Path, words: Iterable[str] = ("hello", "world", "naïve")) -> Path:
    """A BERT small enough to make in a test, with a WordPiece tokenizer of letters and words."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters]
    pieces += [f"##{letter}" for letter in letters]
    _save_pieces(folder, pieces)
    return write_random_bert(folder, folder / "tokenizer.json", width=64, n_layers=2)


def _save_pieces(folder: Path, pieces: list[str]) -> None:
    tokenizer = Tokenizer(
        models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(pieces[:5])
    tokenizer.save(str(folder / "tokenizer.json"))


def _bert_config(n_words: int, width: int, n_layers: int) -> dict[str, Any]:
    return {
        "model_type": "bert",
        "hidden_act": "gelu",
        "vocab_size": n_words,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "hidden_size": width,
        "intermediate_size": width,
        "num_hidden_layers": n_layers,
        "num_attention_heads": max(width // 64, 2),
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }


def _random_bert(config: Mapping[str, Any]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    wide, inner = config["hidden_size"], config["intermediate_size"]

    def dense(name: str, n_out: int, n_in: int) -> dict[str, np.ndarray]:
        weight = rng.standard_normal((n_out, n_in), np.float32) / np.float32(np.sqrt(n_in))
        return {f"{name}.weight": weight, f"{name}.bias": np.full(n_out, 0.01, np.float32)}

    def norm(name: str) -> dict[str, np.ndarray]:
        return {
            f"{name}.weight": np.ones(wide, np.float32),
            f"{name}.bias": np.full(wide, 0.01, np.float32),
        }

    tables = {"word": "vocab_size", "position": "max_position_embeddings"}
    tables["token_type"] = "type_vocab_size"
    weights = {
        f"embeddings.{name}_embeddings.weight": rng.standard_normal(
            (config[size], wide), np.float32
        )
        for name, size in tables.items()
    } | norm("embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        root = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            weights |= dense(f"{root}.attention.{part}", wide, wide)
        weights |= dense(f"{root}.intermediate.dense", inner, wide)
        weights |= dense(f"{root}.output.dense", wide, inner)
        weights |= norm(f"{root}.attention.output.LayerNorm") | norm(f"{root}.output.LayerNorm")
    return weights


def tiny_xlmr(folder: Path, texts: Iterable[str]) -> sentencepiece.SentencePieceProcessor:
    """An XLM-RoBERTa with a unigram tokenizer that is trained on some texts, which is returned.

    As in the published ones, each id is one more than SentencePiece's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=trained,
        vocab_size=700,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc",
        minloglevel=2,
        num_threads=1,
        hard_vocab_limit=False,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(processor.id_to_piece(n), processor.get_score(n)) for n in range(3, len(processor))]
    tokenizer = Tokenizer(models.Unigram([*pieces, ("<mask>", 0.0)], unk_id=3))
    charsmap = _message(_message(trained.getvalue(), 3), 2)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(_SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = _bert_config(tokenizer.get_vocab_size(), 64, 2) | {
        "model_type": "xlm-roberta",
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
        "pad_token_id": 1,
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(_random_bert(config), folder / "model.safetensors")
    return processor


def tiny_pairs(folder: Path, texts: Iterable[str]) -> Tokenizer:
    """A BERT with byte pairs for tokens, as RoBERTa has them; the tokenizer is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=600,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = _bert_config(tokenizer.get_vocab_size(), 64, 1)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(_random_bert(config), folder / "model.safetensors")
    return tokenizer


def _message(message: bytes, number: int) -> bytes:
    """The first field of that number in a protocol-buffers message."""
    return next(value for found, value in _fields(message) if found == number)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields that have a length, by number."""
    stream = io.BytesIO(message)
    while stream.tell() < len(message):
        tag = _varint(stream)
        match tag & 7:
            case 0:
                _varint(stream)
            case 1:
                stream.read(8)
            case 2:
                yield tag >> 3, stream.read(_varint(stream))
            case 5:
                stream.read(4)


def _varint(stream: io.BytesIO) -> int:
    value = shift = 0
    while True:
        (byte,) = stream.read(1)
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value


def give_tokenizer(folder: Path) -> None:
    """Put a WordPiece tokenizer of as many words as the network has beside its files."""
    n_words = json.loads((folder / "config.json").read_text())["vocab_size"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *(f"w{n}" for n in range(len(special), n_words))]
    _save_pieces(folder, pieces)
