"""A whole network as a graph: from token ids to one pooled vector a text, or to scores of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from embedwell.core.errors import ConversionError
from embedwell.core.space import Pooling
from embedwell.core.vectors import FloatArray
from embedwell.models.attention import AttentionWriter, attention_writer
from embedwell.models.graph import FLOAT, INT64, GraphWriter
from embedwell.models.networks.config import Activation, EncoderConfig, Head, Site
from embedwell.models.networks.layer import run_layers
from embedwell.models.tensors import Tensors


class LayerWriter(Protocol):
    """How one quantization writes the parts that hold weights."""

    def lookup(self, ids: str) -> str:
        """Word embeddings of token ids of shape (s, b): float32, shape (s, b, width)."""
        ...

    def dense(self, x: str, site: Site) -> list[str]:
        """Each dense part of a site applied to one input, in the order of `site.names`."""
        ...


@dataclass(frozen=True)
class EncoderGraph:
    """Writes a network.

    Attributes:
        graph: What is written to.
        config: The network.
        layers: Writes the parts that depend on the quantization.
        tensors: The published weights.
    """

    graph: GraphWriter
    config: EncoderConfig
    layers: LayerWriter
    tensors: Tensors

    def write(self, pooling: Pooling, max_tokens: int) -> None:
        """Write from inputs `input_ids` and `attention_mask` to output `embedding`.

        The inputs are int64, shape (b, s). The output is float32: pooled vectors of shape
        (b, width), not normalized; or with a scoring head the scores as they are, shape
        (b, n_labels). With such a head, a network that knows several token types has them as a
        third input `token_type_ids`.

        Args:
            pooling: How token vectors become one; a scoring head has its own way.
            max_tokens: Longest s.

        Raises:
            ConversionError: The pooling is not known, or the network cannot take such long texts.
        """
        graph, config = self.graph, self.config
        if max_tokens > config.max_tokens:
            raise ConversionError(
                f"The network takes {config.max_tokens} tokens, and is to take {max_tokens}.",
                "Give the model a smaller `max_tokens`.",
            )
        ids = graph.op("Transpose", [graph.input("input_ids", ["b", "s"])], perm=[1, 0])
        mask = graph.op("Cast", [graph.input("attention_mask", ["b", "s"])], to=FLOAT)
        x = self.norm(self._embedded(ids, max_tokens), "embedding_norm")
        attention = attention_writer(graph, config, self.tensors, mask, max_tokens)
        x = run_layers(config, _Parts(self, attention), x)
        if config.head:
            scores = self._scores(x, mask, config.head)
            graph.output("embedding", scores, ["b", config.head.n_labels])
        else:
            graph.output("embedding", self._pooled(x, mask, pooling), ["b", config.width])

    def _embedded(self, ids: str, max_tokens: int) -> str:
        graph, config = self.graph, self.config
        words = self.layers.lookup(ids)
        asks_types = config.head is not None and config.n_types > 1
        table = position_table(config, self.tensors, max_tokens, types=not asks_types)
        if table is not None and len(table) == 1:
            words = graph.op("Add", [words, graph.constant(table[:, None, :])])
        elif table is not None:
            length = graph.op("Shape", [ids], start=0, end=1)
            rows = graph.constant(table[:, None, :])
            here = graph.op("Slice", [rows, graph.ints(0), length, graph.ints(0)])
            words = graph.op("Add", [words, here])
        if not asks_types:
            return words
        types = graph.op("Transpose", [graph.input("token_type_ids", ["b", "s"])], perm=[1, 0])
        rows = graph.constant(self.tensors.read("types.weight"))
        return graph.op("Add", [words, graph.op("Gather", [rows, types])])

    def norm(self, x: str, name: str) -> str:
        """The layer norm of that name."""
        inputs = [x, self.graph.constant(self.tensors.read(f"{name}.weight"))]
        if self.config.norm_bias:
            inputs.append(self.graph.constant(self.tensors.read(f"{name}.bias")))
        epsilon = self.config.norm_epsilon
        return self.graph.op("LayerNormalization", inputs, axis=-1, epsilon=epsilon)

    def _pooled(self, x: str, mask: str, pooling: Pooling) -> str:
        match pooling:
            case "mean":
                return self._mean(x, mask)
            case "cls":
                return self._first(x)
            case "last":
                return self._last(x, mask)
        raise ConversionError(
            f"Pooling '{pooling}' is not known to this builder.", "Use 'mean', 'cls' or 'last'."
        )

    def _first(self, x: str) -> str:
        return self.graph.op("Gather", [x, self.graph.scalar(0)], axis=0)

    def _last(self, x: str, mask: str) -> str:
        graph = self.graph
        count = graph.op("ReduceSum", [mask, graph.ints(1)], keepdims=1)
        last = graph.op("Cast", [graph.op("Sub", [count, graph.floats(1)])], to=INT64)
        n_texts = graph.op("Squeeze", [graph.op("Shape", [mask], start=0, end=1)])
        texts = graph.op("Range", [graph.scalar(0), n_texts, graph.scalar(1)])
        texts = graph.op("Unsqueeze", [texts, graph.ints(1)])
        return graph.op("GatherND", [x, graph.op("Concat", [last, texts], axis=1)])

    def _mean(self, x: str, mask: str) -> str:
        graph = self.graph
        count = graph.op("ReduceSum", [mask, graph.ints(1)], keepdims=1)
        shares = graph.op("Unsqueeze", [graph.op("Div", [mask, count]), graph.ints(1)])
        mean = graph.contrib("FusedMatMul", [shares, x], transBatchB=1)
        return graph.op("Squeeze", [mean, graph.ints(1)])

    def _scores(self, x: str, mask: str, head: Head) -> str:
        """The head's scores; its few weights stay in float32 at every quantization."""
        pooled = self._mean(x, mask) if head.mean else self._first(x)
        inner = activated(self.graph, self._plain_dense(pooled, "pooler", bias=head.bias),
                          head.activation)  # fmt: skip
        if head.norm:
            inner = self.norm(inner, "pooler_norm")
        return self._plain_dense(inner, "classifier", bias=True)

    def _plain_dense(self, x: str, name: str, *, bias: bool) -> str:
        weight = self.graph.constant(self.tensors.read(f"{name}.weight").T)
        product = self.graph.op("MatMul", [x, weight])
        if not bias:
            return product
        added = self.graph.constant(self.tensors.read(f"{name}.bias"))
        return self.graph.op("Add", [product, added])


@dataclass(frozen=True)
class _Parts:
    """See `networks.layer.Parts`: values are names."""

    encoder: EncoderGraph
    attention: AttentionWriter

    def dense(self, x: str, site: Site) -> list[str]:
        return self.encoder.layers.dense(x, site)

    def norm(self, x: str, name: str) -> str:
        return self.encoder.norm(x, name)

    def add(self, a: str, b: str) -> str:
        return self.encoder.graph.op("Add", [a, b])

    def attend(self, parts: list[str], layer: int) -> str:
        return self.attention.write(parts, layer)

    def activate(self, parts: list[str]) -> str:
        graph = self.encoder.graph
        active = activated(graph, parts[0], self.encoder.config.activation)
        return graph.op("Mul", [active, parts[1]]) if len(parts) > 1 else active


def activated(graph: GraphWriter, x: str, activation: Activation | Literal["tanh"]) -> str:
    """An activation of each element."""
    match activation:
        case "gelu":
            return graph.op("Gelu", [x], approximate="none")
        case "gelu_tanh":
            return graph.op("Gelu", [x], approximate="tanh")
        case "silu":
            return graph.op("Mul", [x, graph.op("Sigmoid", [x])])
        case "tanh":
            return graph.op("Tanh", [x])


def position_table(
    config: EncoderConfig, tensors: Tensors, length: int, *, types: bool = True
) -> FloatArray | None:
    """What is added to the words of a text.

    Args:
        config: The network.
        tensors: Its weights.
        length: Tokens of the longest text.
        types: Whether the first token type is a part of it.

    Returns:
        float32, shape (length, width): positions plus the first token type; shape (1, width) where
        it is the same at every position, and None where nothing is added.
    """
    table: FloatArray | None = None
    if config.n_positions:
        first = config.first_position
        table = tensors.read("positions.weight")[first : first + length]
    if config.n_types and types:
        kind = tensors.read("types.weight")[:1]
        table = kind if table is None else table + kind
    return table
