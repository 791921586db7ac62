"""Networks in plain numpy: slow, exact, and open between their parts.

Calibration walks through them a part at a time; the tests hold the ONNX graph against them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedwell.core.space import Pooling
from embedwell.core.vectors import FloatArray, IntArray
from embedwell.models.encoder import position_table
from embedwell.models.networks.config import Activation, EncoderConfig, Site
from embedwell.models.networks.distance import alibi_slopes, bucket_bias, rotary_tables
from embedwell.models.networks.layer import run_layers
from embedwell.models.tensors import Tensors


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
        ids = np.concatenate([np.asarray(text, np.int64) for text in texts])
        return cls(ids, tuple(len(text) for text in texts))

    def slices(self) -> list[slice]:
        """Where each text lies among all tokens."""
        ends = np.cumsum(self.lengths).tolist()
        return [slice(end - length, end) for end, length in zip(ends, self.lengths, strict=True)]

    def positions(self) -> IntArray:
        """Each token's position in its text: int64, shape (n_tokens,)."""
        return np.concatenate([np.arange(length) for length in self.lengths])


@dataclass(frozen=True)
class NumpyParts:
    """See `networks.layer.Parts`: values are float32, shape (n_tokens, width).

    Attributes:
        config: The network.
        tensors: Its weights.
        texts: Which tokens belong together.
    """

    config: EncoderConfig
    tensors: Tensors
    texts: Texts

    def dense(self, x: FloatArray, site: Site) -> list[FloatArray]:
        """See `Parts`."""
        products = [x @ self.tensors.read(f"{name}.weight").T for name in site.names]
        if not self.config.has_bias(site):
            return products
        biases = [self.tensors.read(f"{name}.bias") for name in site.names]
        return [product + bias for product, bias in zip(products, biases, strict=True)]

    def norm(self, x: FloatArray, name: str) -> FloatArray:
        """See `Parts`."""
        centred = x - x.mean(axis=1, keepdims=True)
        variance = np.square(centred).mean(axis=1, keepdims=True)
        normed: FloatArray = centred / np.sqrt(variance + np.float32(self.config.norm_epsilon))
        normed = normed * self.tensors.read(f"{name}.weight")
        return normed + self.tensors.read(f"{name}.bias") if self.config.norm_bias else normed

    def add(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """See `Parts`."""
        return a + b

    def attend(self, parts: list[FloatArray], layer: int) -> FloatArray:
        """See `Parts`."""
        config = self.config
        mixed = np.empty_like(parts[0])
        table = self.tensors.read("relative_bias.weight") if config.n_buckets else None
        for place in self.texts.slices():
            query, key, value = (
                part[place].reshape(-1, config.n_heads, config.head_width).swapaxes(0, 1)
                for part in parts
            )
            if config.rotary_bases:
                query, key = (_turned(part, config.rotary_bases[layer]) for part in (query, key))
            scores = query @ key.swapaxes(1, 2) * np.float32(config.head_width**-0.5)
            scores += _score_bias(config, table, scores.shape[1], config.window(layer))
            shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
            shares /= shares.sum(axis=-1, keepdims=True)
            mixed[place] = (shares @ value).swapaxes(0, 1).reshape(-1, config.width)
        return mixed

    def activate(self, parts: list[FloatArray]) -> FloatArray:
        """See `Parts`."""
        active = activated(parts[0], self.config.activation)
        return active * parts[1] if len(parts) > 1 else active


def pooled(config: EncoderConfig, tensors: Tensors, texts: Texts, pooling: Pooling) -> FloatArray:
    """The whole network: one vector a text, not normalized: float32, shape (n_texts, width)."""
    parts = NumpyParts(config, tensors, texts)
    x = run_layers(config, parts, embed_tokens(parts))
    by_text = [x[place] for place in texts.slices()]
    match pooling:
        case "cls":
            return np.stack([tokens[0] for tokens in by_text])
        case "last":
            return np.stack([tokens[-1] for tokens in by_text])
        case _:
            return np.stack([tokens.mean(axis=0) for tokens in by_text])


def embed_tokens(parts: NumpyParts) -> FloatArray:
    """What enters the first layer: float32, shape (n_tokens, width)."""
    config, tensors, texts = parts.config, parts.tensors, parts.texts
    used, places = np.unique(texts.ids, return_inverse=True)
    words = np.empty((len(used), config.width), np.float32)
    start = 0
    for block in tensors.blocks("words.weight"):
        here = (used >= start) & (used < start + len(block))
        words[here] = block[used[here] - start]
        start += len(block)
    summed: FloatArray = words[places]
    table = position_table(config, tensors, max(texts.lengths))
    if table is not None:
        summed = summed + table[texts.positions() if len(table) > 1 else 0]
    return parts.norm(summed, "embedding_norm")


def activated(x: FloatArray, activation: Activation) -> FloatArray:
    """An activation of each element; GELUs are those of https://arxiv.org/abs/1606.08415.

    Args:
        x: float32, any shape.
        activation: Which one; `gelu_tanh` is the published approximation.
    """
    match activation:
        case "silu":
            share: FloatArray = np.float32(1) / (np.float32(1) + np.exp(-x))
        case "gelu_tanh":
            inner = np.float32((2 / np.pi) ** 0.5) * (x + np.float32(0.044715) * x**3)
            share = np.float32(0.5) * (1 + np.tanh(inner))
        case _:
            share = np.float32(0.5) * (1 + _erf(x * np.float32(0.5**0.5)))
    return x * share


def _turned(x: FloatArray, base: float) -> FloatArray:
    """Rotary positions: from and to shape (n_heads, n_tokens, head_width)."""
    cosines, sines = rotary_tables(base, x.shape[2], x.shape[1])
    first, second = np.split(x, 2, axis=2)
    turned = [first * cosines - second * sines, second * cosines + first * sines]
    return np.concatenate(turned, axis=2)


def _score_bias(
    config: EncoderConfig, table: FloatArray | None, length: int, window: int
) -> FloatArray:
    """What is added to the scores of one text: broadcast to (n_heads, length, length)."""
    after = np.arange(length)[None, :] - np.arange(length)[:, None]
    bias = np.zeros((1, length, length), np.float32)
    if config.alibi:
        bias = bias - alibi_slopes(config.n_heads)[:, None, None] * np.abs(after)
    if table is not None:
        bias = bias + bucket_bias(table, length)[after + length - 1].transpose(2, 0, 1)
    if window:
        bias = np.where(np.abs(after) > window, np.float32(-np.inf), bias)
    return bias.astype(np.float32)


def _erf(x: FloatArray) -> FloatArray:
    """Abramowitz and Stegun 1964, formula 7.1.26: wrong by at most 1.5e-7."""
    size = np.abs(x)
    t = 1 / (1 + np.float32(0.3275911) * size)
    series = np.float32(1.061405429) * t - np.float32(1.453152027)
    for factor in (1.421413741, -0.284496736, 0.254829592):
        series = series * t + np.float32(factor)
    values: FloatArray = np.sign(x) * (1 - series * t * np.exp(-size * size))
    return values
