"""Networks with random weights under the names and in the shapes in which real ones are published.

`tools/references.py` gives them to independent implementations, and the tests to our own; both
must see the same bytes on every machine, so that values come from raw bits alone: those of Philox
(Salmon et al. 2011) are the same in every version of numpy, keyed by the tensor's name.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

Pooling = Literal["mean", "cls", "last"]
Shape = tuple[int, ...]

SHALLOW_WORDS = 1000
LENGTHS = (1, 2, 7, 40, 129, 300)  # ModernBERT's local layers see 64 tokens to either side
N_PROJECTIONS = 8
N_FIRST = 16

_FIRST_ORDINARY_ID = 10  # below lie padding and other special tokens
_BLOCK_VALUES = 1 << 22


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        name: What its reference file is called.
        architecture: What our builder is asked for.
        config: Its `config.json`.
        shapes: Shape by published name of every tensor.
        pooling: How its publisher pools; None where it scores pairs of texts.
        silent: What the names of tensors hold that are zeros; empty for none.
    """

    name: str
    architecture: str
    config: dict[str, Any]
    shapes: dict[str, Shape]
    pooling: Pooling | None
    silent: str = ""

    @property
    def n_words(self) -> int:
        """Rows of the table of words."""
        return int(self.config["vocab_size"])

    @property
    def width(self) -> int:
        """Length of a token vector."""
        return int(self.config.get("hidden_size") or self.config["n_embd"])

    def texts(self) -> list[list[int]]:
        """Token ids of one text for each of `LENGTHS`."""
        texts = []
        for length in LENGTHS:
            raw = _bits(f"text {length}", length)[:length]
            span = self.n_words - _FIRST_ORDINARY_ID
            texts.append((raw % np.uint32(span) + _FIRST_ORDINARY_ID).tolist())
        return texts

    def types(self) -> list[list[int]]:
        """A type for each token of `texts`: 0 for a first third, and then the network's last."""
        last = self.config["type_vocab_size"] - 1
        return [[0] * (length // 3) + [last] * (length - length // 3) for length in LENGTHS]

    def blocks(self, tensor: str) -> Iterator[np.ndarray]:
        """The values of a tensor in order, float32, in parts of at most 16 MB."""
        n_values = math.prod(self.shapes[tensor])
        middle, spread = _distribution(tensor, self.shapes[tensor])
        if self.silent and self.silent in tensor:
            middle = spread = 0.0
        for start in range(0, n_values, _BLOCK_VALUES):
            count = min(_BLOCK_VALUES, n_values - start)
            values = _bits(f"{tensor} {start}", count).astype(np.float32)
            values -= np.float32(2**31)
            values *= np.float32(spread / 2**31)
            values += np.float32(middle)
            yield values

    def tensor(self, name: str) -> np.ndarray:
        """A whole tensor, float32."""
        return np.concatenate(list(self.blocks(name))).reshape(self.shapes[name])

    def write(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`, a block at a time."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config))
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name, shape in self.shapes.items():
            start, end = end, end + 4 * math.prod(shape)
            header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with (folder / "model.safetensors").open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name in self.shapes:
                for block in self.blocks(name):
                    file.write(block.data)


def numbers(vectors: np.ndarray) -> np.ndarray:
    """What is compared of pooled vectors: their first values, and projections of the whole.

    Args:
        vectors: Shape (n, d).

    Returns:
        float64, shape (n, N_FIRST + N_PROJECTIONS): each projection is the sum of all values under
        signs of its own, divided by the root of d, so that it is as large as a single value.
    """
    width = vectors.shape[1]
    signs = np.where(_bits("signs", width * N_PROJECTIONS) >> np.uint32(31), 1.0, -1.0)
    wide = vectors.astype(np.float64)
    projections = wide @ signs.reshape(width, N_PROJECTIONS) / math.sqrt(width)
    return np.concatenate([wide[:, :N_FIRST], projections], axis=1)


def _bits(name: str, count: int) -> np.ndarray:
    """Random 32-bit numbers that belong to a name."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    raw = np.random.Philox(key=key).random_raw((count + 1) // 2)
    return raw.astype("<u8", copy=False).view("<u4")[:count]


def _distribution(name: str, shape: Shape) -> tuple[float, float]:
    """Middle and half width of a tensor's uniform values.

    Dense parts answer inputs of size 1 with outputs of size 1.3, so that attention is far from
    even and positions are far from negligible; both are so in trained networks.
    """
    if len(shape) == 1:
        is_scale = "norm" in name.lower() or "_ln" in name
        return (1.0, 0.3) if is_scale and name.endswith("weight") else (0.0, 0.2)
    if "relative_attention_bias" in name:
        return 0.0, 2.5
    if "embedding" in name:
        return 0.0, 0.1
    return 0.0, 1.3 * math.sqrt(3 / shape[-1])


# --- the families ---


def _bert(prefix: str, fields: dict[str, Any]) -> dict[str, Shape]:
    wide, inner = fields["hidden_size"], fields["intermediate_size"]
    shapes: dict[str, Shape] = {
        "embeddings.word_embeddings.weight": (fields["vocab_size"], wide),
        "embeddings.position_embeddings.weight": (fields["max_position_embeddings"], wide),
        "embeddings.token_type_embeddings.weight": (fields["type_vocab_size"], wide),
        **_norm("embeddings.LayerNorm", wide),
    }
    for layer in range(fields["num_hidden_layers"]):
        root = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= _dense(f"{root}.attention.{part}", wide, wide)
        shapes |= _norm(f"{root}.attention.output.LayerNorm", wide)
        shapes |= _feed_forward(root, wide, inner)
    return {f"{prefix}{name}": shape for name, shape in shapes.items()}


def _mpnet(fields: dict[str, Any]) -> dict[str, Shape]:
    wide, inner = fields["hidden_size"], fields["intermediate_size"]
    shapes: dict[str, Shape] = {
        "embeddings.word_embeddings.weight": (fields["vocab_size"], wide),
        "embeddings.position_embeddings.weight": (fields["max_position_embeddings"], wide),
        **_norm("embeddings.LayerNorm", wide),
    }
    for layer in range(fields["num_hidden_layers"]):
        root = f"encoder.layer.{layer}"
        for part in "qkvo":
            shapes |= _dense(f"{root}.attention.attn.{part}", wide, wide)
        shapes |= _norm(f"{root}.attention.LayerNorm", wide)
        shapes |= _feed_forward(root, wide, inner)
    heads, buckets = fields["num_attention_heads"], fields["relative_attention_num_buckets"]
    return shapes | {"encoder.relative_attention_bias.weight": (buckets, heads)}


def _feed_forward(root: str, wide: int, inner: int) -> dict[str, Shape]:
    return {
        **_dense(f"{root}.intermediate.dense", inner, wide),
        **_dense(f"{root}.output.dense", wide, inner),
        **_norm(f"{root}.output.LayerNorm", wide),
    }


def _nomic(fields: dict[str, Any]) -> dict[str, Shape]:
    wide, inner = fields["n_embd"], fields["n_inner"]
    shapes: dict[str, Shape] = {
        "embeddings.word_embeddings.weight": (fields["vocab_size"], wide),
        "embeddings.token_type_embeddings.weight": (fields["type_vocab_size"], wide),
        **_norm("emb_ln", wide),
    }
    for layer in range(fields["n_layer"]):
        root = f"encoder.layers.{layer}"
        shapes |= {
            f"{root}.attn.Wqkv.weight": (3 * wide, wide),
            f"{root}.attn.out_proj.weight": (wide, wide),
            f"{root}.mlp.fc11.weight": (inner, wide),
            f"{root}.mlp.fc12.weight": (inner, wide),
            f"{root}.mlp.fc2.weight": (wide, inner),
            **_norm(f"{root}.norm1", wide),
            **_norm(f"{root}.norm2", wide),
        }
    return shapes


def _jina(fields: dict[str, Any]) -> dict[str, Shape]:
    wide, inner = fields["hidden_size"], fields["intermediate_size"]
    shapes: dict[str, Shape] = {
        "embeddings.word_embeddings.weight": (fields["vocab_size"], wide),
        "embeddings.token_type_embeddings.weight": (fields["type_vocab_size"], wide),
        **_norm("embeddings.LayerNorm", wide),
    }
    for layer in range(fields["num_hidden_layers"]):
        root = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= _dense(f"{root}.attention.{part}", wide, wide)
        shapes |= _norm(f"{root}.attention.output.LayerNorm", wide)
        if "qk-post-norm" not in fields["_name_or_path"]:
            shapes |= {f"{root}.mlp.gated_layers.weight": (2 * inner, wide)}
            shapes |= _dense(f"{root}.mlp.wo", wide, inner) | _norm(f"{root}.mlp.layernorm", wide)
            continue
        for norm in ("layer_norm_q", "layer_norm_k"):
            shapes |= _norm(f"{root}.attention.self.{norm}", wide)
        shapes |= {f"{root}.mlp.up_gated_layer.weight": (2 * inner, wide)}
        shapes |= _dense(f"{root}.mlp.down_layer", wide, inner)
        shapes |= _norm(f"{root}.layer_norm_1", wide) | _norm(f"{root}.layer_norm_2", wide)
    return shapes


def _modernbert(fields: dict[str, Any]) -> dict[str, Shape]:
    wide, inner = fields["hidden_size"], fields["intermediate_size"]
    shapes: dict[str, Shape] = {
        "embeddings.tok_embeddings.weight": (fields["vocab_size"], wide),
        "embeddings.norm.weight": (wide,),
        "final_norm.weight": (wide,),
    }
    for layer in range(fields["num_hidden_layers"]):
        root = f"layers.{layer}"
        shapes |= {
            f"{root}.attn.Wqkv.weight": (3 * wide, wide),
            f"{root}.attn.Wo.weight": (wide, wide),
            f"{root}.mlp_norm.weight": (wide,),
            f"{root}.mlp.Wi.weight": (2 * inner, wide),
            f"{root}.mlp.Wo.weight": (wide, inner),
        }
        if layer:  # the first takes what the norm of the embeddings gave
            shapes[f"{root}.attn_norm.weight"] = (wide,)
    return shapes


def _dense(name: str, n_out: int, n_in: int) -> dict[str, Shape]:
    return {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}


def _norm(name: str, width: int) -> dict[str, Shape]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _classified(fields: dict[str, Any]) -> dict[str, Shape]:
    """A BERT that scores pairs of texts."""
    wide = fields["hidden_size"]
    head = _dense("bert.pooler.dense", wide, wide) | _dense("classifier", 1, wide)
    return _bert("bert.", fields) | head


def _roberta_classified(fields: dict[str, Any]) -> dict[str, Shape]:
    wide = fields["hidden_size"]
    head = _dense("classifier.dense", wide, wide) | _dense("classifier.out_proj", 1, wide)
    return _bert("roberta.", fields) | head


_BERT = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_act": "gelu",
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}
_MINILM = _BERT | {"hidden_size": 384, "intermediate_size": 1536}
_XLM_ROBERTA = _BERT | {
    "model_type": "xlm-roberta",
    "architectures": ["XLMRobertaModel"],
    "vocab_size": 250002,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
_ONE_SCORE = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
_MPNET = {
    "model_type": "mpnet",
    "architectures": ["MPNetModel"],
    "hidden_act": "gelu",
    "vocab_size": 30527,
    "max_position_embeddings": 514,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "layer_norm_eps": 1e-5,
    "relative_attention_num_buckets": 32,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
_NOMIC = {
    "model_type": "nomic_bert",
    "architectures": ["NomicBertModel"],
    "activation_function": "swiglu",
    "vocab_size": 30528,
    "type_vocab_size": 2,
    "n_embd": 768,
    "n_inner": 3072,
    "n_layer": 12,
    "n_head": 12,
    "n_positions": 8192,
    "max_trained_positions": 2048,
    "layer_norm_epsilon": 1e-12,
    "prenorm": False,
    "parallel_block": False,
    "use_rms_norm": False,
    "causal": False,
    "qkv_proj_bias": False,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
}
_JINA = _BERT | {
    "architectures": ["JinaBertForMaskedLM"],
    "_name_or_path": "jinaai/jina-bert-v2-qk-post-norm",
    "auto_map": {"AutoModel": "jinaai/jina-bert-v2-qk-post-norm--modeling_bert.JinaBertModel"},
    "vocab_size": 61056,
    "max_position_embeddings": 8192,
    "position_embedding_type": "alibi",
    "feed_forward_type": "geglu",
}
_JINA_PROSE = _JINA | {
    "_name_or_path": "jinaai/jina-bert-implementation",
    "auto_map": {"AutoModel": "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"},
    "vocab_size": 30528,
}
_MODERNBERT = {
    "model_type": "modernbert",
    "architectures": ["ModernBertModel"],
    "hidden_activation": "gelu",
    "vocab_size": 50368,
    "max_position_embeddings": 8192,
    "hidden_size": 768,
    "intermediate_size": 1152,
    "num_hidden_layers": 22,
    "num_attention_heads": 12,
    "norm_eps": 1e-5,
    "norm_bias": False,
    "attention_bias": False,
    "mlp_bias": False,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "local_attention": 128,
    "local_rope_theta": 10000.0,
    "pad_token_id": 50283,
}


def _embedding(fields: dict[str, Any]) -> dict[str, Shape]:
    return _bert("", fields)


_FAMILIES: dict[str, tuple[Any, dict[str, Any], Pooling | None]] = {
    "minilm-l6": (_embedding, _MINILM | {"num_hidden_layers": 6}, "mean"),
    "minilm-l12": (_embedding, _MINILM, "mean"),
    "bert-base": (_embedding, _BERT, "cls"),
    "mpnet-base": (_mpnet, _MPNET, "mean"),
    "xlm-roberta-base": (_embedding, _XLM_ROBERTA, "mean"),
    "nomic-bert": (_nomic, _NOMIC, "mean"),
    "jina-bert-code": (_jina, _JINA, "mean"),
    "jina-bert": (_jina, _JINA_PROSE, "mean"),
    "modernbert-base": (_modernbert, _MODERNBERT, "cls"),
    "bert-rerank": (
        _classified,
        _MINILM
        | _ONE_SCORE
        | {"architectures": ["BertForSequenceClassification"], "num_hidden_layers": 6},
        None,
    ),
    "xlm-roberta-rerank": (
        _roberta_classified,
        _XLM_ROBERTA | _ONE_SCORE | {"architectures": ["XLMRobertaForSequenceClassification"]},
        None,
    ),
}
EMBEDDING_NAMES = tuple(name for name, (*_, pooling) in _FAMILIES.items() if pooling)
RERANK_NAMES = tuple(name for name, (*_, pooling) in _FAMILIES.items() if not pooling)


def network(name: str) -> Network:
    """A network in the sizes in which it is published."""
    shapes_of, config, pooling = _FAMILIES[name]
    return Network(name, _architecture(config), config, shapes_of(config), pooling)


def shallow(name: str) -> Network:
    """The same network with fewer words and layers: quick to build in many wrong ways."""
    shapes_of, config, pooling = _FAMILIES[name]
    depth = "n_layer" if "n_layer" in config else "num_hidden_layers"
    n_layers = 4 if name == "modernbert-base" else 2  # global, local, local, global
    config = config | {"vocab_size": SHALLOW_WORDS, depth: n_layers}
    if name == "modernbert-base":
        config["pad_token_id"] = 0
    return Network(f"{name}-shallow", _architecture(config), config, shapes_of(config), pooling)


def _architecture(config: dict[str, Any]) -> str:
    is_jina = config.get("position_embedding_type") == "alibi"
    return "jina_bert_v2" if is_jina else str(config["model_type"]).replace("-", "_")
