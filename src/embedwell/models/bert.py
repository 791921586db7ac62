"""The BERT family: its configuration, the names of its tensors, and its graph.

The network is that of Devlin et al. 2019 (https://arxiv.org/abs/1810.04805), layers normalized
after each residual sum. Tensor names are those under which `transformers` publishes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from embedwell.core.errors import ConversionError, WrongBytesError
from embedwell.core.space import Pooling
from embedwell.core.vectors import FloatArray
from embedwell.models.graph import BOOL, FLOAT, GraphWriter
from embedwell.models.tensors import Shape, Tensors

Place = Literal["attention_in", "attention_out", "ffn_in", "ffn_out"]

_ACTIVATIONS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
# Added to the scores of padding; its exponential is exactly 0, so padding changes nothing.
_MASKED = 1e4

WORDS = "embeddings.word_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
TYPES = "embeddings.token_type_embeddings.weight"
EMBEDDING_NORM = "embeddings.LayerNorm"


@dataclass(frozen=True)
class BertConfig:
    """What `config.json` says of a network.

    Attributes:
        n_words: Rows of the table of word embeddings.
        n_positions: Rows of the table of positions.
        n_types: Rows of the table of token types.
        width: Length of a token vector.
        ffn_width: Length inside the feed-forward part.
        n_layers: Number of layers.
        n_heads: Attention heads of each layer.
        norm_epsilon: Added to the variance in every layer norm.
        gelu: `none` for the exact GELU, `tanh` for its approximation.
    """

    n_words: int
    n_positions: int
    n_types: int
    width: int
    ffn_width: int
    n_layers: int
    n_heads: int
    norm_epsilon: float
    gelu: str

    @property
    def head_width(self) -> int:
        """Length of a token vector inside one attention head."""
        return self.width // self.n_heads

    def shapes(self) -> dict[str, Shape]:
        """Shape by name of every tensor that the graph uses, in order of use."""
        wide, inner = self.width, self.ffn_width
        shapes: dict[str, Shape] = {
            WORDS: (self.n_words, wide),
            POSITIONS: (self.n_positions, wide),
            TYPES: (self.n_types, wide),
            **_vector_shapes(EMBEDDING_NORM, wide),
        }
        for layer in range(self.n_layers):
            for site in layer_sites(layer):
                n_out = inner if site.place == "ffn_in" else wide
                n_in = inner if site.place == "ffn_out" else wide
                for name in site.names:
                    shapes |= {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}
            for norm in norm_names(layer):
                shapes |= _vector_shapes(norm, wide)
        return shapes


@dataclass(frozen=True)
class Site:
    """An input that one or more dense parts of a layer share.

    Attributes:
        layer: Counted from 0.
        place: Which input of the layer it is.
        names: Tensor names of the dense parts, without `.weight` and `.bias`.
    """

    layer: int
    place: Place
    names: tuple[str, ...]

    @property
    def key(self) -> str:
        """`layer.place`, as recipes name it."""
        return f"{self.layer}.{self.place}"


class LayerWriter(Protocol):
    """How one quantization writes the parts that hold weights."""

    def lookup(self, ids: str) -> str:
        """Word embeddings of token ids of shape (s, b): float32, shape (s, b, width)."""
        ...

    def dense(self, inputs: str, site: Site) -> list[str]:
        """Each dense part of a site applied to one input, in the order of `site.names`."""
        ...


def read_config(path: Path) -> BertConfig:
    """Read `config.json`.

    Raises:
        WrongBytesError: It is not a JSON object, or lacks an entry.
        ConversionError: It describes a network that this builder does not know.
    """
    remedy = "Remove the model with `embedwell models remove` and fetch it again."
    try:
        fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
        config = _config(fields)
    except (OSError, ValueError, TypeError) as error:
        raise WrongBytesError(f"'{path}' cannot be read as JSON ({error}).", remedy) from error
    except KeyError as error:
        raise WrongBytesError(f"'{path}' has no entry {error}.", remedy) from error
    if config.width % config.n_heads:
        raise ConversionError(
            f"{config.n_heads} attention heads do not divide a width of {config.width}.", remedy
        )
    return config


def layer_sites(layer: int) -> tuple[Site, Site, Site, Site]:
    """The four sites of a layer, in order of use."""
    root = f"encoder.layer.{layer}"
    attention = tuple(f"{root}.attention.self.{part}" for part in ("query", "key", "value"))
    return (
        Site(layer, "attention_in", attention),
        Site(layer, "attention_out", (f"{root}.attention.output.dense",)),
        Site(layer, "ffn_in", (f"{root}.intermediate.dense",)),
        Site(layer, "ffn_out", (f"{root}.output.dense",)),
    )


def norm_names(layer: int) -> tuple[str, str]:
    """Names of a layer's two layer norms, after attention and after the feed-forward part."""
    root = f"encoder.layer.{layer}"
    return f"{root}.attention.output.LayerNorm", f"{root}.output.LayerNorm"


def position_table(tensors: Tensors, n_positions: int) -> FloatArray:
    """What is added to the words of a single text, by position.

    Returns:
        float32, shape (n_positions, width): positions plus the first token type.
    """
    table: FloatArray = tensors.read(POSITIONS)[:n_positions] + tensors.read(TYPES)[:1]
    return table


@dataclass(frozen=True)
class _Padding:
    """Names of what attention knows of padding.

    Attributes:
        absent: Whether no token of the batch is padding: a boolean.
        bias: What is added to the scores: float32, shape (b, 1, 1, s).
    """

    absent: str
    bias: str


@dataclass(frozen=True)
class BertGraph:
    """Writes the whole network.

    Token vectors have shape (s, b, width), the sequence first: attention's products then take
    their operands without a transpose.

    Attributes:
        graph: What is written to.
        config: The network's sizes.
        layers: Writes the parts that depend on the quantization.
        tensors: The published weights.
    """

    graph: GraphWriter
    config: BertConfig
    layers: LayerWriter
    tensors: Tensors

    def write(self, pooling: Pooling, max_tokens: int) -> None:
        """Write from inputs `input_ids` and `attention_mask` to output `embedding`.

        The inputs are int64, shape (b, s); the output is float32, shape (b, width), pooled, not
        normalized.

        Args:
            pooling: `mean` or `cls`.
            max_tokens: Longest s.

        Raises:
            ConversionError: The pooling is of another kind.
        """
        graph = self.graph
        ids = graph.op("Transpose", [graph.input("input_ids", ["b", "s"])], perm=[1, 0])
        mask = graph.op("Cast", [graph.input("attention_mask", ["b", "s"])], to=FLOAT)
        x = graph.op("Add", [self.layers.lookup(ids), self._positions(ids, max_tokens)])
        x = self._norm(x, EMBEDDING_NORM)
        padding = self._padding(mask)
        for layer in range(self.config.n_layers):
            x = self._layer(x, padding, layer)
        graph.output("embedding", self._pooled(x, mask, pooling), ["b", self.config.width])

    def _positions(self, ids: str, max_tokens: int) -> str:
        graph = self.graph
        length = graph.op("Shape", [ids], start=0, end=1)
        table = graph.constant(position_table(self.tensors, max_tokens)[:, None, :])
        return graph.op("Slice", [table, graph.ints(0), length, graph.ints(0)])

    def _padding(self, mask: str) -> _Padding:
        graph = self.graph
        wide = graph.op("Unsqueeze", [mask, graph.ints(1, 2)])
        lowered = graph.op("Sub", [wide, graph.floats(1)])
        bias = graph.op("Mul", [lowered, graph.floats(_MASKED)])
        return _Padding(
            graph.op("Cast", [graph.op("ReduceMin", [mask], keepdims=0)], to=BOOL), bias
        )

    def _norm(self, x: str, name: str) -> str:
        weight = self.graph.constant(self.tensors.read(f"{name}.weight"))
        bias = self.graph.constant(self.tensors.read(f"{name}.bias"))
        epsilon = self.config.norm_epsilon
        return self.graph.op("LayerNormalization", [x, weight, bias], axis=-1, epsilon=epsilon)

    def _layer(self, x: str, padding: _Padding, layer: int) -> str:
        graph, dense = self.graph, self.layers.dense
        attention_in, attention_out, ffn_in, ffn_out = layer_sites(layer)
        after_attention, after_ffn = norm_names(layer)
        (mixed,) = dense(self._attention(dense(x, attention_in), padding), attention_out)
        x = self._norm(graph.op("Add", [mixed, x]), after_attention)
        (inner,) = dense(x, ffn_in)
        (outer,) = dense(graph.op("Gelu", [inner], approximate=self.config.gelu), ffn_out)
        return self._norm(graph.op("Add", [outer, x]), after_ffn)

    def _attention(self, parts: list[str], padding: _Padding) -> str:
        graph, config = self.graph, self.config
        split = graph.ints(0, 0, config.n_heads, config.head_width)
        query, key, value = (graph.op("Reshape", [part, split]) for part in parts)
        by_text = {"transBatchA": 1, "transBatchB": 1}
        scale = config.head_width**-0.5
        scores = graph.contrib("FusedMatMul", [query, key], **by_text, transB=1, alpha=scale)
        # The addition takes as long as the softmax, and texts of one length need none.
        shares = graph.either(
            padding.absent,
            lambda: graph.op("Softmax", [scores], axis=-1),
            lambda: graph.op("Softmax", [graph.op("Add", [scores, padding.bias])], axis=-1),
        )
        mixed = graph.contrib("FusedMatMul", [shares, value], transBatchB=1)
        mixed = graph.op("Transpose", [mixed], perm=[2, 0, 1, 3])
        return graph.op("Reshape", [mixed, graph.ints(0, 0, config.width)])

    def _pooled(self, x: str, mask: str, pooling: Pooling) -> str:
        graph = self.graph
        if pooling == "cls":
            return graph.op("Gather", [x, graph.constant(np.array(0, np.int64))], axis=0)
        if pooling != "mean":
            raise ConversionError(
                f"Pooling '{pooling}' is not known to this builder.", "Use 'mean' or 'cls'."
            )
        count = graph.op("ReduceSum", [mask, graph.ints(1)], keepdims=1)
        shares = graph.op("Unsqueeze", [graph.op("Div", [mask, count]), graph.ints(1)])
        mean = graph.contrib("FusedMatMul", [shares, x], transBatchB=1)
        return graph.op("Squeeze", [mean, graph.ints(1)])


def _config(fields: dict[str, Any]) -> BertConfig:
    activation = fields["hidden_act"]
    if fields["model_type"] != "bert" or activation not in _ACTIVATIONS:
        raise ConversionError(
            f"The network '{fields['model_type']}' with activation '{activation}' is not known.",
            f"Use a model of type 'bert' with one of: {', '.join(_ACTIVATIONS)}.",
        )
    if fields.get("position_embedding_type", "absolute") != "absolute":
        raise ConversionError(
            f"Positions of type '{fields['position_embedding_type']}' are not known.",
            "Use a model with absolute positions.",
        )
    return BertConfig(
        n_words=int(fields["vocab_size"]),
        n_positions=int(fields["max_position_embeddings"]),
        n_types=int(fields["type_vocab_size"]),
        width=int(fields["hidden_size"]),
        ffn_width=int(fields["intermediate_size"]),
        n_layers=int(fields["num_hidden_layers"]),
        n_heads=int(fields["num_attention_heads"]),
        norm_epsilon=float(fields["layer_norm_eps"]),
        gelu=_ACTIVATIONS[activation],
    )


def _vector_shapes(name: str, width: int) -> dict[str, Shape]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
