"""A network of every family with random weights, small enough to make in a test."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tiny_bert import N_WORDS, source_of, tokenizer

from embedwell.models.networks.registry import architecture_of, read_network
from embedwell.models.source import SourceFiles
from embedwell.models.tensors import published_name

WIDTH, N_LAYERS = 32, 4
MAX_TOKENS = 40

_BERT = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "vocab_size": N_WORDS,
    "max_position_embeddings": MAX_TOKENS,
    "type_vocab_size": 2,
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 4,
    "layer_norm_eps": 1e-12,
    "id2label": {"0": "relevant"},
}
_SHIFTED = {"max_position_embeddings": MAX_TOKENS + 2, "pad_token_id": 1}
_JINA = {"position_embedding_type": "alibi", "feed_forward_type": "geglu"}

CONFIGS: dict[str, dict[str, Any]] = {
    "bert": _BERT,
    "xlm_roberta": _BERT | _SHIFTED | {"model_type": "xlm-roberta", "type_vocab_size": 1},
    "mpnet": _BERT | _SHIFTED | {"model_type": "mpnet"},
    "nomic_bert": {
        "model_type": "nomic_bert",
        "activation_function": "swiglu",
        "vocab_size": N_WORDS,
        "type_vocab_size": 2,
        "n_embd": WIDTH,
        "n_inner": 2 * WIDTH,
        "n_layer": N_LAYERS,
        "n_head": 4,
        "n_positions": MAX_TOKENS,
        "layer_norm_epsilon": 1e-12,
        "rotary_emb_base": 1000,
    },
    "jina_bert_v2": _BERT | _JINA,
    "jina_bert_v2 for code": _BERT | _JINA | {"_name_or_path": "jinaai/jina-bert-v2-qk-post-norm"},
    "modernbert": {
        "model_type": "modernbert",
        "hidden_activation": "gelu",
        "vocab_size": N_WORDS,
        "max_position_embeddings": MAX_TOKENS,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": 4,
        "norm_eps": 1e-5,
        "global_attn_every_n_layers": 3,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
        "local_attention": 8,
        "id2label": {"0": "relevant"},
    },
}
SCORERS = tuple(name for name in CONFIGS if name not in {"nomic_bert", "jina_bert_v2 for code"})


def tiny_network(folder: Path, name: str, head: str = "embedding", **changes: Any) -> SourceFiles:
    """Write a network's published files; `changes` go into config.json before weights are made."""
    folder.mkdir(parents=True, exist_ok=True)
    config = CONFIGS[name] | changes
    (folder / "config.json").write_text(json.dumps(config))
    save_file(random_weights(config, head), folder / "model.safetensors")
    tokenizer().save(str(folder / "tokenizer.json"))
    source = source_of(folder)
    card = replace(
        source.card,
        architecture=architecture_of(config),
        dimensions=WIDTH,
        max_tokens=MAX_TOKENS,
        head=head,
    )
    return replace(source, card=card)


def random_weights(config: dict[str, Any], head: str = "embedding") -> dict[str, np.ndarray]:
    """Tensors under their published names."""
    network = read_network(config, head)
    rng = np.random.default_rng(len(json.dumps(config)))
    weights = {}
    for ours, (rows, *rest) in network.config.shapes().items():
        name = published_name(network.layout, ours)
        shape = (rows * network.layout[ours.split(".")[-2]].of, *rest)
        if name not in weights:
            weights[name] = _values(rng, ours, shape)
    return weights


def _values(rng: np.random.Generator, ours: str, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) > 1:
        spread = 1 if "relative" in ours else 1.3 / math.sqrt(shape[-1])
        return (rng.standard_normal(shape) * spread).astype(np.float32)
    middle = 1 if ours.endswith("norm.weight") or "norm_2.weight" in ours else 0
    return (middle + rng.uniform(-0.3, 0.3, shape)).astype(np.float32)
