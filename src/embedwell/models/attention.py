"""Attention as a graph: what the tokens of each layer see, where they stand, and the mixing.

Token vectors have shape (s, b, width), the sequence first: attention's products then take their
operands without a transpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from embedwell.models.graph import BOOL, FLOAT, GraphWriter
from embedwell.models.networks.config import EncoderConfig
from embedwell.models.networks.distance import UNSEEN, alibi_slopes, bucket_bias, rotary_tables
from embedwell.models.tensors import Tensors

_NO_CAP = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Sight:
    """Names of what a layer's attention knows of distances and of padding.

    Attributes:
        cap: What scores may not be above: float32, broadcast to (b, heads, s, s).
        free: A boolean: whether it caps nothing.
        bias: What is added to the scores before, of the same shape; empty for nothing.
    """

    cap: str
    free: str
    bias: str = ""


@dataclass(frozen=True)
class Rotary:
    """Names of what rotary positions need.

    Attributes:
        places: 0 to s - 1: int64, shape (s, 1).
        tables: Cosines and sines by base.
    """

    places: str
    tables: Mapping[float, tuple[str, str]]


@dataclass(frozen=True)
class AttentionWriter:
    """Writes the attention of each layer.

    Attributes:
        graph: What is written to.
        config: The network.
        sights: By window: how far the tokens of a layer look, 0 for the whole text.
        rotary: None where positions are not rotary.
    """

    graph: GraphWriter
    config: EncoderConfig
    sights: Mapping[int, Sight]
    rotary: Rotary | None

    def write(self, parts: list[str], layer: int) -> str:
        """From query, key and value to what is mixed of the values, all of shape (s, b, width)."""
        graph, config = self.graph, self.config
        split = graph.ints(0, 0, config.n_heads, config.head_width)
        query, key, value = (graph.op("Reshape", [part, split]) for part in parts)
        if self.rotary:
            query, key = (self._rotated(part, layer, self.rotary) for part in parts[:2])
        by_text = {"transBatchA": 1, "transBatchB": 1}
        scale = config.head_width**-0.5
        scores = graph.contrib("FusedMatMul", [query, key], **by_text, transB=1, alpha=scale)
        mixed = graph.contrib("FusedMatMul", [self._shares(scores, layer), value], transBatchB=1)
        mixed = graph.op("Transpose", [mixed], perm=[2, 0, 1, 3])
        return graph.op("Reshape", [mixed, graph.ints(0, 0, config.width)])

    def _shares(self, scores: str, layer: int) -> str:
        graph, sight = self.graph, self.sights[self.config.window(layer)]
        if sight.bias:
            scores = graph.op("Add", [scores, sight.bias])
        # The cap takes as long as the softmax, and texts of one length need none.
        return graph.either(
            sight.free,
            lambda: graph.op("Softmax", [scores], axis=-1),
            lambda: graph.op("Softmax", [graph.op("Min", [scores, sight.cap])], axis=-1),
        )

    def _rotated(self, x: str, layer: int, rotary: Rotary) -> str:
        graph, config = self.graph, self.config
        # Its rows are positions: all heads of all texts that stand at one are one more dimension.
        by_place = graph.op("Reshape", [x, graph.ints(0, -1, 1, config.head_width)])
        tables = rotary.tables[config.rotary_bases[layer]]
        turned = graph.contrib("RotaryEmbedding", [by_place, rotary.places, *tables])
        return graph.op("Reshape", [turned, graph.ints(0, -1, config.n_heads, config.head_width)])


def attention_writer(
    graph: GraphWriter, config: EncoderConfig, tensors: Tensors, mask: str, max_tokens: int
) -> AttentionWriter:
    """Write what attention needs once for each run.

    Args:
        graph: What is written to.
        config: The network.
        tensors: Its weights.
        mask: Name of the mask: float32, shape (b, s).
        max_tokens: Longest s.
    """
    padding = _padding(graph, mask)
    if not (config.rotary_bases or config.n_buckets or config.alibi or any(config.windows)):
        return AttentionWriter(graph, config, {0: padding}, None)
    length = graph.op("Shape", [mask], start=1, end=2)
    limit = graph.op("Squeeze", [length])
    places = graph.op("Range", [graph.scalar(0), limit, graph.scalar(1)])
    column = graph.op("Unsqueeze", [places, graph.ints(1)])
    rotary = None
    if config.rotary_bases:
        tables = {
            base: rotary_tables(base, config.head_width, max_tokens)
            for base in dict.fromkeys(config.rotary_bases)
        }
        names = {
            base: (graph.constant(cosines), graph.constant(sines))
            for base, (cosines, sines) in tables.items()
        }
        rotary = Rotary(column, names)
    after = graph.op("Sub", [places, column])  # how far each token stands after the one that looks
    sights = {0: padding}
    bias = _by_distance(graph, config, tensors, after, max_tokens)
    if bias:
        sights[0] = replace(padding, bias=bias)
    for window in sorted(set(config.windows) - {0}):
        sights[window] = _nearby(graph, window, padding, after, limit)
    return AttentionWriter(graph, config, sights, rotary)


def _padding(graph: GraphWriter, mask: str) -> Sight:
    wide = graph.op("Unsqueeze", [mask, graph.ints(1, 2)])
    cap = _capped(graph, graph.op("Equal", [wide, graph.floats(0)]))
    return Sight(cap, graph.op("Cast", [graph.op("ReduceMin", [mask], keepdims=0)], to=BOOL))


def _by_distance(
    graph: GraphWriter, config: EncoderConfig, tensors: Tensors, after: str, max_tokens: int
) -> str:
    """What the network adds to scores by distance: shape (heads, s, s); empty for nothing."""
    if config.alibi:
        slopes = graph.constant(-alibi_slopes(config.n_heads)[:, None, None])
        far = graph.op("Cast", [graph.op("Abs", [after])], to=FLOAT)
        return graph.op("Max", [graph.op("Mul", [slopes, far]), graph.floats(UNSEEN)])
    if not config.n_buckets:
        return ""
    table = bucket_bias(tensors.read("relative_bias.weight"), max_tokens)
    row = graph.op("Add", [after, graph.scalar(max_tokens - 1)])
    # All heads of a distance at once, and a transpose: 8 times as fast as a head at a time.
    by_row = graph.op("Gather", [graph.constant(table), row])
    return graph.op("Transpose", [by_row], perm=[2, 0, 1])


def _nearby(graph: GraphWriter, window: int, padding: Sight, after: str, length: str) -> Sight:
    """Padding, and what stands farther away than a window; short texts have nothing there."""
    far = graph.op("Greater", [graph.op("Abs", [after]), graph.scalar(window)])
    short = graph.op("LessOrEqual", [length, graph.scalar(window + 1)])
    cap = graph.op("Min", [_capped(graph, far), padding.cap])
    return Sight(cap, graph.op("And", [padding.free, short]))


def _capped(graph: GraphWriter, hidden: str) -> str:
    """A cap on the scores of what is hidden, by a boolean for each; none on the others."""
    return graph.op("Where", [hidden, graph.floats(UNSEEN), graph.floats(_NO_CAP)])
