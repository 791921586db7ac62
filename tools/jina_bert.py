"""JinaBERT v2 in both of its variants, for prose and for code, in plain numpy, in double precision.

`transformers` has no such network. This one follows the papers: the encoder of Devlin et al. 2019
(https://arxiv.org/abs/1810.04805) with the symmetric linear biases and gated feed-forward parts of
Günther et al. 2023 (https://arxiv.org/abs/2310.19923) and the slopes of Press et al. 2022
(https://arxiv.org/abs/2108.12409). The variant for code has, as the names of its tensors tell,
layer norms over queries and keys (Henry et al. 2020, https://arxiv.org/abs/2010.04245, normalize
them too), one more after each sum, and the halves of the gated part the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
Read = Callable[[str], Array]


def token_vectors(config: dict[str, Any], read: Read, ids: list[int]) -> Array:
    """What the last layer gives for one text.

    Args:
        config: The network's `config.json`.
        read: Gives a tensor by its published name.
        ids: Token ids.

    Returns:
        float64, shape (len(ids), width).
    """
    words = read("embeddings.word_embeddings.weight")[ids].astype(np.float64)
    x = words + read("embeddings.token_type_embeddings.weight")[0]
    x = _norm(config, read, "embeddings.LayerNorm", x)
    bias = linear_biases(config["num_attention_heads"], len(ids))
    for layer in range(config["num_hidden_layers"]):
        x = _layer(config, read, f"encoder.layer.{layer}", x, bias)
    return x


def slopes(n_heads: int) -> list[float]:
    """How fast each head forgets with distance.

    For a power of two they are a geometric sequence that starts at its own ratio, 2^(-8 / n). For
    another number, those of the next lower power come first, then every second one of twice that
    power.
    """
    lower = 2 ** math.floor(math.log2(n_heads))
    own = [2 ** (-8 * (head + 1) / lower) for head in range(lower)]
    finer = [2 ** (-8 * (head + 1) / (2 * lower)) for head in range(0, 2 * lower, 2)]
    return own + finer[: n_heads - lower]


def linear_biases(n_heads: int, length: int) -> Array:
    """What is added to the scores: float64, shape (n_heads, length, length)."""
    places = np.arange(length)
    distances = np.abs(places[:, None] - places[None, :])
    return -np.array(slopes(n_heads))[:, None, None] * distances


def _layer(config: dict[str, Any], read: Read, root: str, x: Array, bias: Array) -> Array:
    attended = _attention(config, read, f"{root}.attention", x, bias)
    summed = _norm(config, read, f"{root}.attention.output.LayerNorm", attended + x)
    if not _is_for_code(config):
        both = summed @ read(f"{root}.mlp.gated_layers.weight").T.astype(np.float64)
        gate, up = np.split(both, 2, axis=1)
        down = _dense(read, f"{root}.mlp.wo", _gelu(gate) * up)
        return _norm(config, read, f"{root}.mlp.layernorm", down + summed)
    x = _norm(config, read, f"{root}.layer_norm_1", summed + x)
    both = x @ read(f"{root}.mlp.up_gated_layer.weight").T.astype(np.float64)
    up, gate = np.split(both, 2, axis=1)
    down = _dense(read, f"{root}.mlp.down_layer", up * _gelu(gate))
    return _norm(config, read, f"{root}.layer_norm_2", down + x)


def _attention(config: dict[str, Any], read: Read, root: str, x: Array, bias: Array) -> Array:
    n_heads = config["num_attention_heads"]
    query = _dense(read, f"{root}.self.query", x)
    key = _dense(read, f"{root}.self.key", x)
    value = _heads(_dense(read, f"{root}.self.value", x), n_heads)
    if _is_for_code(config):
        query = _norm(config, read, f"{root}.self.layer_norm_q", query)
        key = _norm(config, read, f"{root}.self.layer_norm_k", key)
    query, key = _heads(query, n_heads), _heads(key, n_heads)
    scores = query @ key.swapaxes(1, 2) / math.sqrt(query.shape[2]) + bias
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    mixed = (shares @ value).swapaxes(0, 1).reshape(len(x), -1)
    return _dense(read, f"{root}.output.dense", mixed)


def _is_for_code(config: dict[str, Any]) -> bool:
    return "qk-post-norm" in config["_name_or_path"]


def _heads(x: Array, n_heads: int) -> Array:
    return x.reshape(len(x), n_heads, -1).swapaxes(0, 1)


def _dense(read: Read, name: str, x: Array) -> Array:
    return x @ read(f"{name}.weight").T.astype(np.float64) + read(f"{name}.bias")


def _norm(config: dict[str, Any], read: Read, name: str, x: Array) -> Array:
    centred = x - x.mean(axis=1, keepdims=True)
    variance = (centred**2).mean(axis=1, keepdims=True)
    normed = centred / np.sqrt(variance + config["layer_norm_eps"])
    return normed * read(f"{name}.weight") + read(f"{name}.bias")


def _gelu(x: Array) -> Array:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
