"""The network that a GGUF file describes, in the fields that published `config.json` files have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from embedwell.core.space import Pooling
from embedwell.models.gguf.header import GgufHeader
from embedwell.models.gguf.names import ARCHITECTURES, has_two_norms

# By llama.cpp's number of each kind (`enum llama_pooling_type`). 4 is the head of a reranker,
# which reads the first token.
_POOLINGS: dict[int, Pooling] = {1: "mean", 2: "cls", 3: "last", 4: "cls"}
_RANK = 4
_NOMIC_POSITIONS = 8192  # of every published config.json of this family
_MODERN_PATTERN = 3  # where the file does not say, as in llama.cpp
_QK_POST_NORM = "jinaai/jina-bert-v2-qk-post-norm"


def check_known(header: GgufHeader) -> None:
    """Refuse what is no encoder of a known architecture.

    Raises:
        ConversionError: It is a language model, a projector, an adapter or an unknown encoder.
    """
    if header.architecture not in ARCHITECTURES:
        raise header.wrong(
            f"it has a model of the architecture '{header.architecture}', "
            f"but known are the text encoders {', '.join(ARCHITECTURES)}"
        )
    if header.flag(f"{header.architecture}.attention.causal", default=False):
        raise header.wrong("its tokens see only those before them, which no known encoder has")
    if "token_embd.weight" not in header.tensors:
        raise header.wrong("it has no tensor 'token_embd.weight'")
    n_layers = _count(header, "block_count")
    if not 0 < n_layers <= len(header.tensors):
        raise header.wrong(f"it claims {n_layers} layers, and has {len(header.tensors)} tensors")


def pooling_of(header: GgufHeader) -> Pooling:
    """How token vectors become one.

    Raises:
        ConversionError: The file does not say.
    """
    kind = header.count(f"{header.architecture}.pooling_type", 0)
    if kind not in _POOLINGS:
        raise header.wrong("it does not say how token vectors become one ('pooling_type')")
    return _POOLINGS[kind]


def head_of(header: GgufHeader) -> Literal["embedding", "rerank"]:
    """What comes out: an embedding, or the score of a pair of texts."""
    rank = header.count(f"{header.architecture}.pooling_type", 0) == _RANK
    return "rerank" if rank else "embedding"


def n_positions(header: GgufHeader) -> int:
    """The most tokens that a text may have, special ones included."""
    known = header.count(f"{header.architecture}.context_length")
    table = header.tensors.get("position_embd.weight")
    return min(known, table.shape[0]) if table else known


def published_config(header: GgufHeader) -> dict[str, Any]:
    """The fields of `config.json` that say which network it is, made from the file's own.

    XLM-RoBERTa comes out as `bert`: the rows of its table of positions that no text uses are not
    in the file, and without them the networks are the same.

    Raises:
        ConversionError: The architecture is not known, or a field is missing.
    """
    check_known(header)
    maker = {
        "bert": _bert,
        "jina-bert-v2": _jina,
        "nomic-bert": _nomic,
        "modern-bert": _modern,
    }[header.architecture]
    scores = header.tensors.get("cls.output.weight")
    return maker(header) | ({"num_labels": scores.shape[0]} if scores else {})


def _bert(header: GgufHeader) -> dict[str, Any]:
    return {
        "model_type": "bert",
        "hidden_act": "gelu",
        "vocab_size": _n_rows(header, "token_embd"),
        "max_position_embeddings": n_positions(header),
        "type_vocab_size": _n_rows(header, "token_types"),
        "hidden_size": _count(header, "embedding_length"),
        "intermediate_size": _count(header, "feed_forward_length"),
        "num_hidden_layers": _count(header, "block_count"),
        "num_attention_heads": _count(header, "attention.head_count"),
        "layer_norm_eps": _epsilon(header),
    }


def _jina(header: GgufHeader) -> dict[str, Any]:
    fields = _bert(header) | {
        "position_embedding_type": "alibi",
        "feed_forward_type": "geglu",
        "emb_pooler": "mean",
    }
    if has_two_norms(header):
        fields |= {"_name_or_path": _QK_POST_NORM, "auto_map": {"AutoModel": _QK_POST_NORM}}
    return fields


def _nomic(header: GgufHeader) -> dict[str, Any]:
    return {
        "model_type": "nomic_bert",
        "activation_function": "swiglu",
        "vocab_size": _n_rows(header, "token_embd"),
        # The converter writes the length of the training, beyond which rotary positions go on.
        "n_positions": max(n_positions(header), _NOMIC_POSITIONS),
        "type_vocab_size": _n_rows(header, "token_types"),
        "n_embd": _count(header, "embedding_length"),
        "n_inner": _count(header, "feed_forward_length"),
        "n_layer": _count(header, "block_count"),
        "n_head": _count(header, "attention.head_count"),
        "layer_norm_epsilon": _epsilon(header),
        "rotary_emb_base": header.number("nomic-bert.rope.freq_base"),
        "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False,
        "rotary_emb_scale_base": None,
        "prenorm": False,
        "qkv_proj_bias": "blk.0.attn_qkv.bias" in header.tensors,
        "mlp_fc1_bias": "blk.0.ffn_up.bias" in header.tensors,
        "mlp_fc2_bias": "blk.0.ffn_down.bias" in header.tensors,
    }


def _modern(header: GgufHeader) -> dict[str, Any]:
    base = header.number("modern-bert.rope.freq_base")
    every = header.count("modern-bert.attention.sliding_window_pattern", _MODERN_PATTERN)
    if not every:
        raise header.wrong("none of its layers looks at the whole text")
    return {
        "model_type": "modernbert",
        "hidden_activation": header.text("modern-bert.hidden_act", "gelu"),
        "vocab_size": _n_rows(header, "token_embd"),
        "max_position_embeddings": n_positions(header),
        "hidden_size": _count(header, "embedding_length"),
        "intermediate_size": _count(header, "feed_forward_length"),
        "num_hidden_layers": _count(header, "block_count"),
        "num_attention_heads": _count(header, "attention.head_count"),
        "norm_eps": _epsilon(header),
        "global_rope_theta": base,
        "local_rope_theta": header.number("modern-bert.rope.freq_base_swa", base),
        "local_attention": _count(header, "attention.sliding_window"),
        "global_attn_every_n_layers": every,
        **_biases(header, {"attention": "attn_qkv", "mlp": "ffn_up", "norm": "ffn_norm"}),
    }


def _biases(header: GgufHeader, stems: Mapping[str, str]) -> dict[str, bool]:
    return {f"{part}_bias": f"blk.1.{stem}.bias" in header.tensors for part, stem in stems.items()}


def _count(header: GgufHeader, key: str) -> int:
    return header.count(f"{header.architecture}.{key}")


def _epsilon(header: GgufHeader) -> float:
    return header.number(f"{header.architecture}.attention.layer_norm_epsilon")


def _n_rows(header: GgufHeader, stem: str) -> int:
    """Rows of a table; a table of token types that was left out counts one."""
    place = header.tensors.get(f"{stem}.weight")
    return place.shape[0] if place else 1
