"""Which tensors of a GGUF file are which published ones.

llama.cpp's names are those of its `gguf-py/gguf/tensor_mapping.py`. A published tensor may have
been split when the file was made, or several may have been joined.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from embedwell.models.gguf.header import GgufHeader

_FUSED = ("query", "key", "value")
_LAYER = re.compile(r"blk\.(\d+)\.(.+)\.(weight|bias)")

_BERT = {
    "token_embd": "embeddings.word_embeddings",
    "position_embd": "embeddings.position_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "token_embd_norm": "embeddings.LayerNorm",
    "cls": "pooler.dense",
    "cls.output": "classifier",
}
_BERT_ATTENTION = {
    "attn_q": "encoder.layer.{}.attention.self.query",
    "attn_k": "encoder.layer.{}.attention.self.key",
    "attn_v": "encoder.layer.{}.attention.self.value",
    "attn_output": "encoder.layer.{}.attention.output.dense",
    "attn_output_norm": "encoder.layer.{}.attention.output.LayerNorm",
}
_BERT_LAYER = _BERT_ATTENTION | {
    "ffn_up": "encoder.layer.{}.intermediate.dense",
    "ffn_down": "encoder.layer.{}.output.dense",
    "layer_output_norm": "encoder.layer.{}.output.LayerNorm",
}
_NOMIC = {
    "token_embd": "embeddings.word_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "token_embd_norm": "emb_ln",
}
_NOMIC_LAYER = {
    "attn_qkv": "encoder.layers.{}.attn.Wqkv",
    "attn_output": "encoder.layers.{}.attn.out_proj",
    "attn_output_norm": "encoder.layers.{}.norm1",
    "ffn_up": "encoder.layers.{}.mlp.fc11",
    "ffn_gate": "encoder.layers.{}.mlp.fc12",
    "ffn_down": "encoder.layers.{}.mlp.fc2",
    "layer_output_norm": "encoder.layers.{}.norm2",
}
_JINA_LAYER = _BERT_ATTENTION | {
    "ffn_up": "encoder.layer.{}.mlp.gated_layers",
    "ffn_down": "encoder.layer.{}.mlp.wo",
    "layer_output_norm": "encoder.layer.{}.mlp.layernorm",
}
_JINA_CODE_LAYER = _BERT_ATTENTION | {
    "attn_q_norm": "encoder.layer.{}.attention.self.layer_norm_q",
    "attn_k_norm": "encoder.layer.{}.attention.self.layer_norm_k",
    "attn_norm_2": "encoder.layer.{}.layer_norm_1",
    "ffn_up": "encoder.layer.{}.mlp.up_gated_layer",
    "ffn_down": "encoder.layer.{}.mlp.down_layer",
    "layer_output_norm": "encoder.layer.{}.layer_norm_2",
}
_MODERN = {
    "token_embd": "embeddings.tok_embeddings",
    "token_embd_norm": "embeddings.norm",
    "output_norm": "final_norm",
    "cls": "head.dense",
    "cls.norm": "head.norm",
    "cls.output": "classifier",
}
_MODERN_LAYER = {
    "attn_norm": "layers.{}.attn_norm",
    "attn_qkv": "layers.{}.attn.Wqkv",
    "attn_output": "layers.{}.attn.Wo",
    "ffn_norm": "layers.{}.mlp_norm",
    "ffn_up": "layers.{}.mlp.Wi",
    "ffn_down": "layers.{}.mlp.Wo",
}

_FAMILIES = {
    "bert": (_BERT, _BERT_LAYER),
    "nomic-bert": (_NOMIC, _NOMIC_LAYER),
    "jina-bert-v2": (_BERT, _JINA_LAYER),
    "modern-bert": (_MODERN, _MODERN_LAYER),
}
ARCHITECTURES = tuple(_FAMILIES)


@dataclass(frozen=True)
class Part:
    """Rows of one of the file's tensors.

    Attributes:
        name: The tensor's name in the file.
        first: The first row.
        n_rows: How many rows; elements where the tensor is a vector.
    """

    name: str
    first: int
    n_rows: int


def has_two_norms(header: GgufHeader) -> bool:
    """Whether it is the variant of JinaBERT v2 that Jina's code models have."""
    return "blk.0.attn_norm_2.weight" in header.tensors


def published_parts(header: GgufHeader) -> dict[str, tuple[Part, ...]]:
    """The published tensors by name, each as what is to be put together, rows on rows.

    Tensors that no encoder has are left out.

    Args:
        header: Of one of `ARCHITECTURES`.
    """
    tables, layers = _FAMILIES[header.architecture]
    if has_two_norms(header):
        layers = _JINA_CODE_LAYER
    parts: dict[str, tuple[Part, ...]] = {}
    for name, place in header.tensors.items():
        whole = Part(name, 0, place.shape[0])
        inner = _LAYER.fullmatch(name)
        if inner is None:
            stem, _, end = name.rpartition(".")
            if stem in tables:
                parts[f"{tables[stem]}.{end}"] = (whole,)
            continue
        layer, stem, end = inner.groups()
        if stem == "attn_qkv" and "attn_qkv" not in layers:
            parts |= _split(whole, layer, end)
        elif stem in layers:
            parts[f"{layers[stem].format(layer)}.{end}"] = _joined(header, whole, layers)
    return parts


def _split(whole: Part, layer: str, end: str) -> dict[str, tuple[Part, ...]]:
    """Query, key and value of the same size, one under another."""
    size = whole.n_rows // len(_FUSED)
    return {
        f"encoder.layer.{layer}.attention.self.{part}.{end}": (Part(whole.name, n * size, size),)
        for n, part in enumerate(_FUSED)
    }


def _joined(header: GgufHeader, up: Part, layers: Mapping[str, str]) -> tuple[Part, ...]:
    """JinaBERT's two halves of the feed-forward input, which older files have apart."""
    gate = header.tensors.get(up.name.replace("ffn_up", "ffn_gate"))
    if ".ffn_up." not in up.name or gate is None or "ffn_gate" in layers:
        return (up,)
    other = Part(up.name.replace("ffn_up", "ffn_gate"), 0, gate.shape[0])
    # The published order: the gate comes first, but last in the code models.
    return (up, other) if has_two_norms(header) else (other, up)
