"""Published files written as GGUF, with the names and fields that llama.cpp's converter gives."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import LlamaFileType, PoolingType, TokenType
from safetensors import safe_open

POOLINGS = {
    "none": PoolingType.NONE,
    "mean": PoolingType.MEAN,
    "cls": PoolingType.CLS,
    "rank": PoolingType.RANK,
}
_ARCHITECTURES = {
    "bert": gguf.MODEL_ARCH.BERT,
    "xlm-roberta": gguf.MODEL_ARCH.BERT,
    "nomic_bert": gguf.MODEL_ARCH.NOMIC_BERT,
    "modernbert": gguf.MODEL_ARCH.MODERN_BERT,
}
_FILE_TYPES = {
    "F32": LlamaFileType.ALL_F32,
    "F16": LlamaFileType.MOSTLY_F16,
    "BF16": LlamaFileType.MOSTLY_BF16,
    "Q8_0": LlamaFileType.MOSTLY_Q8_0,
    "Q5_0": LlamaFileType.MOSTLY_Q5_0,
    "Q5_1": LlamaFileType.MOSTLY_Q5_1,
    "Q4_0": LlamaFileType.MOSTLY_Q4_0,
    "Q4_1": LlamaFileType.MOSTLY_Q4_1,
}
_LEFT_OUT = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")


def write_gguf(
    folder: Path,
    path: Path,
    kind: str = "F32",
    pooling: str = "mean",
    *,
    change: Callable[[gguf.GGUFWriter], None] = lambda writer: None,
) -> Path:
    """Write `config.json`, `tokenizer.json` and `model.safetensors` of a folder as one GGUF file.

    `kind` is the type of every matrix but the tables of positions and token types; a row that its
    blocks do not divide becomes F16. `change` adds to the metadata.
    """
    config = json.loads((folder / "config.json").read_text())
    architecture = _architecture(config)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_type("model")
    writer.add_name(folder.name)
    _write_sizes(writer, config)
    writer.add_file_type(_FILE_TYPES[kind])
    writer.add_causal_attention(False)
    writer.add_pooling_type(POOLINGS[pooling])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _write_tokenizer(writer, folder, config)
    change(writer)
    _write_tensors(writer, folder / "model.safetensors", config, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_sizes(writer: gguf.GGUFWriter, config: Mapping[str, Any]) -> None:
    def first(*names: str) -> Any:
        return next((config[name] for name in names if config.get(name) is not None), None)

    cut = _position_offset(config)
    writer.add_block_count(first("num_hidden_layers", "n_layer"))
    longest = first("max_trained_positions", "max_position_embeddings", "n_positions")
    writer.add_context_length(longest - cut)
    writer.add_embedding_length(first("hidden_size", "n_embd"))
    writer.add_feed_forward_length(first("intermediate_size", "n_inner"))
    writer.add_head_count(first("num_attention_heads", "n_head"))
    writer.add_layer_norm_eps(first("layer_norm_eps", "layer_norm_epsilon", "norm_eps"))
    base = first("rotary_emb_base", "rope_theta", "global_rope_theta")
    if base is not None:
        writer.add_rope_freq_base(base)
    if config["model_type"] == "modernbert":
        writer.add_rope_freq_base_swa(config["local_rope_theta"])
        writer.add_sliding_window(config["local_attention"])
        writer.add_sliding_window_pattern(config["global_attn_every_n_layers"])
        writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
        writer.add_vocab_size(config["vocab_size"])


def _architecture(config: Mapping[str, Any]) -> gguf.MODEL_ARCH:
    if config.get("position_embedding_type") == "alibi":
        return gguf.MODEL_ARCH.JINA_BERT_V2
    return _ARCHITECTURES[config["model_type"]]


def _position_offset(config: Mapping[str, Any]) -> int:
    """Rows before the first position that a text uses: RoBERTa counts from after the padding."""
    return config["pad_token_id"] + 1 if config["model_type"] == "xlm-roberta" else 0


def _write_tokenizer(writer: gguf.GGUFWriter, folder: Path, config: Mapping[str, Any]) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    special = {added["id"] for added in tokenizer["added_tokens"] if added["special"]}
    {"WordPiece": _write_pieces, "Unigram": _write_unigram, "BPE": _write_pairs}[
        tokenizer["model"]["type"]
    ](writer, tokenizer, special)
    writer.add_token_type_count(config.get("type_vocab_size", 1))
    n_words = len(tokenizer["model"]["vocab"])
    bpe = tokenizer["model"]["type"] == "BPE"
    with _quiet("gguf.vocab"):  # `cls` is not kept: it is the beginning, `bos`
        gguf.SpecialVocab(folder, load_merges=bpe, n_vocab=n_words).add_to_gguf(writer, quiet=True)
    if not (folder / "tokenizer_config.json").is_file():
        _write_special_ids(writer, tokenizer)


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    logging.getLogger(logger).setLevel(logging.ERROR)
    yield
    logging.getLogger(logger).setLevel(logging.NOTSET)


def _write_special_ids(writer: gguf.GGUFWriter, tokenizer: Mapping[str, Any]) -> None:
    """What the converter finds in `tokenizer_config.json`."""
    ids = {added["content"]: added["id"] for added in tokenizer["added_tokens"]}
    for names, add in (
        (("[CLS]", "<s>"), writer.add_bos_token_id),
        (("[SEP]", "</s>"), writer.add_eos_token_id),
        (("[SEP]", "</s>"), writer.add_sep_token_id),
        (("[UNK]", "<unk>"), writer.add_unk_token_id),
        (("[MASK]", "<mask>"), writer.add_mask_token_id),
    ):
        found = next((ids[name] for name in names if name in ids), None)
        if found is not None:
            add(found)


def _write_pieces(writer: gguf.GGUFWriter, tokenizer: Mapping[str, Any], special: set[int]) -> None:
    vocab = tokenizer["model"]["vocab"]

    def phantom(piece: str, place: int) -> str:
        if place in special:
            return piece
        return piece[2:] if piece.startswith("##") else "\u2581" + piece

    by_place = sorted(vocab.items(), key=lambda item: item[1])
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list([phantom(piece, place) for piece, place in by_place])
    writer.add_token_types(_types(len(vocab), special, unknown=None))


def _write_unigram(
    writer: gguf.GGUFWriter, tokenizer: Mapping[str, Any], special: set[int]
) -> None:
    model = tokenizer["model"]
    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece for piece, _ in model["vocab"]])
    writer.add_token_scores([score for _, score in model["vocab"]])
    writer.add_token_types(_types(len(model["vocab"]), special, model["unk_id"]))
    writer.add_add_space_prefix(True)
    writer.add_remove_extra_whitespaces(True)
    charsmap = _charsmap(tokenizer["normalizer"])
    if charsmap:
        writer.add_precompiled_charsmap(charsmap)


def _charsmap(normalizer: Mapping[str, Any] | None) -> bytes:
    from base64 import b64decode

    for part in (normalizer or {}).get("normalizers", [normalizer or {}]):
        if part.get("type") == "Precompiled":
            return b64decode(part["precompiled_charsmap"])
    return b""


def _write_pairs(writer: gguf.GGUFWriter, tokenizer: Mapping[str, Any], special: set[int]) -> None:
    vocab = dict(tokenizer["model"]["vocab"])
    vocab |= {added["content"]: added["id"] for added in tokenizer["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(sorted(vocab, key=lambda piece: vocab[piece]))
    writer.add_token_types(_types(len(vocab), special, unknown=None))


def _types(n_words: int, special: set[int], unknown: int | None) -> list[int]:
    types = [TokenType.CONTROL if n in special else TokenType.NORMAL for n in range(n_words)]
    if unknown is not None:
        types[unknown] = TokenType.UNKNOWN
    return types


def _write_tensors(
    writer: gguf.GGUFWriter, weights: Path, config: Mapping[str, Any], kind: str
) -> None:
    n_layers = config.get("num_hidden_layers") or config["n_layer"]
    names = gguf.get_tensor_name_map(_architecture(config), n_layers)
    with safe_open(weights, framework="numpy") as tensors:
        for published in tensors.keys():  # noqa: SIM118 - it has no other way to go through it
            plain = _plain(published)
            if plain in _LEFT_OUT:
                continue
            name = names.get_name(plain, try_suffixes=(".weight", ".bias"))
            assert name is not None, f"llama.cpp's converter does not know '{published}'"
            tensor = tensors.get_tensor(published).astype(np.float32)
            if name == "position_embd.weight":
                tensor = tensor[_position_offset(config) :]
            data, found = _quantized(name, tensor, kind)
            writer.add_tensor(name, data, raw_dtype=found)


def _plain(published: str) -> str:
    for prefix in ("bert.", "roberta.", "model."):
        published = published.removeprefix(prefix)
    return published


def _quantized(name: str, tensor: np.ndarray, kind: str) -> tuple[np.ndarray, Type]:
    wanted = Type[kind]
    if tensor.ndim <= 1 or name in {"position_embd.weight", "token_types.weight"}:
        wanted = Type.F32
    if name.endswith("_norm.weight"):
        wanted = Type.F32
    try:
        return gguf.quants.quantize(tensor, wanted), wanted
    except gguf.QuantError:
        return gguf.quants.quantize(tensor, Type.F16), Type.F16
