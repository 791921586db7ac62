"""The BERT family in plain numpy: slow, exact, and open between its parts.

Calibration walks through it a layer at a time; the tests hold the ONNX graph against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedwell.core.vectors import FloatArray, IntArray
from embedwell.models.bert import (
    EMBEDDING_NORM,
    WORDS,
    BertConfig,
    Site,
    layer_sites,
    norm_names,
    position_table,
)
from embedwell.models.tensors import Tensors


@dataclass(frozen=True)
class Norm:
    """A layer norm: weight and bias, float32, shape (width,)."""

    weight: FloatArray
    bias: FloatArray
    epsilon: float

    def __call__(self, x: FloatArray) -> FloatArray:
        """Normalize rows of shape (n, width)."""
        centred = x - x.mean(axis=1, keepdims=True)
        variance = np.square(centred).mean(axis=1, keepdims=True)
        normed: FloatArray = centred / np.sqrt(variance + np.float32(self.epsilon))
        return normed * self.weight + self.bias


@dataclass(frozen=True)
class Texts:
    """Token ids of many texts, one after the other.

    Attributes:
        ids: int64, shape (n_tokens,).
        lengths: Tokens of each text.
    """

    ids: IntArray
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]]) -> Texts:
        """From token ids, a sequence for each text."""
        return cls(np.concatenate([np.asarray(text, np.int64) for text in texts]), _lengths(texts))

    def slices(self) -> list[slice]:
        """Where each text lies among all tokens."""
        ends = np.cumsum(self.lengths).tolist()
        return [slice(end - length, end) for end, length in zip(ends, self.lengths, strict=True)]

    def positions(self) -> IntArray:
        """Each token's position in its text: int64, shape (n_tokens,)."""
        return np.concatenate([np.arange(length) for length in self.lengths])


def read_norm(tensors: Tensors, name: str, epsilon: float) -> Norm:
    """The layer norm of that name."""
    return Norm(tensors.read(f"{name}.weight"), tensors.read(f"{name}.bias"), epsilon)


def pooled(config: BertConfig, tensors: Tensors, texts: Texts) -> FloatArray:
    """The whole network: one vector a text, not normalized: float32, shape (n_texts, width)."""
    x = embed_tokens(config, tensors, texts)
    for layer in range(config.n_layers):
        x = _layer(config, tensors, texts, x, layer)
    return mean_pooled(x, texts)


def embed_tokens(config: BertConfig, tensors: Tensors, texts: Texts) -> FloatArray:
    """What enters the first layer: float32, shape (n_tokens, width)."""
    used, places = np.unique(texts.ids, return_inverse=True)
    words = np.empty((len(used), config.width), np.float32)
    start = 0
    for block in tensors.blocks(WORDS):
        here = (used >= start) & (used < start + len(block))
        words[here] = block[used[here] - start]
        start += len(block)
    table = position_table(tensors, config.n_positions)
    summed: FloatArray = words[places] + table[texts.positions()]
    return read_norm(tensors, EMBEDDING_NORM, config.norm_epsilon)(summed)


def attention(config: BertConfig, parts: Sequence[FloatArray], texts: Texts) -> FloatArray:
    """Mix the tokens of each text.

    Args:
        config: The network's sizes.
        parts: Query, key and value, each float32, shape (n_tokens, width).
        texts: Which tokens belong together.

    Returns:
        float32, shape (n_tokens, width).
    """
    mixed = np.empty_like(parts[0])
    for place in texts.slices():
        query, key, value = (
            part[place].reshape(-1, config.n_heads, config.head_width).swapaxes(0, 1)
            for part in parts
        )
        scores = query @ key.swapaxes(1, 2) * np.float32(config.head_width**-0.5)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed[place] = (shares @ value).swapaxes(0, 1).reshape(-1, config.width)
    return mixed


def gelu(x: FloatArray, kind: str) -> FloatArray:
    """The GELU of Hendrycks and Gimpel 2016 (https://arxiv.org/abs/1606.08415).

    Args:
        x: float32, any shape.
        kind: `none` for the exact one, `tanh` for its published approximation.
    """
    if kind == "tanh":
        inner = np.float32((2 / np.pi) ** 0.5) * (x + np.float32(0.044715) * x**3)
        tanh_form: FloatArray = np.float32(0.5) * x * (1 + np.tanh(inner))
        return tanh_form
    return x * np.float32(0.5) * (1 + _erf(x * np.float32(0.5**0.5)))


def mean_pooled(x: FloatArray, texts: Texts) -> FloatArray:
    """Mean of each text's tokens: float32, shape (n_texts, width)."""
    return np.stack([x[place].mean(axis=0) for place in texts.slices()])


def _layer(
    config: BertConfig, tensors: Tensors, texts: Texts, x: FloatArray, layer: int
) -> FloatArray:
    attention_in, attention_out, ffn_in, ffn_out = layer_sites(layer)
    after_attention, after_ffn = (
        read_norm(tensors, name, config.norm_epsilon) for name in norm_names(layer)
    )
    mixed = attention(config, _dense(tensors, attention_in, x), texts)
    x = after_attention(_dense(tensors, attention_out, mixed)[0] + x)
    inner = gelu(_dense(tensors, ffn_in, x)[0], config.gelu)
    return after_ffn(_dense(tensors, ffn_out, inner)[0] + x)


def _dense(tensors: Tensors, site: Site, x: FloatArray) -> list[FloatArray]:
    return [
        x @ tensors.read(f"{name}.weight").T + tensors.read(f"{name}.bias") for name in site.names
    ]


def _lengths(texts: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(len(text) for text in texts)


def _erf(x: FloatArray) -> FloatArray:
    """Abramowitz and Stegun 1964, formula 7.1.26: wrong by at most 1.5e-7."""
    size = np.abs(x)
    t = 1 / (1 + np.float32(0.3275911) * size)
    series = np.float32(1.061405429) * t - np.float32(1.453152027)
    for factor in (1.421413741, -0.284496736, 0.254829592):
        series = series * t + np.float32(factor)
    values: FloatArray = np.sign(x) * (1 - series * t * np.exp(-size * size))
    return values
