"""The real network, wrong somewhere, run by the product's own engine and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from benchmarks.metrics import Floats
from embedwell.core.artifact import Artifact
from embedwell.core.space import Pooling
from embedwell.core.vectors import FloatArray
from embedwell.engines.onnx import open_engine
from embedwell.engines.protocol import Engine, EngineBuild, TokenBatch
from embedwell.models.encoder import EncoderGraph
from embedwell.models.graph import FLOAT, WEIGHTS_FILE, GraphWriter
from embedwell.models.layers import FloatLayers
from embedwell.models.opening import open_network as open_published
from embedwell.models.source import SourceFiles
from embedwell.models.tensors import Tensors
from embedwell.runtime.embedder import LocalEmbedder

Read = Callable[[str], Floats]
Change = Callable[[Read, str], Floats]  # what is read instead of the tensor of that name
Pool = Callable[[GraphWriter, str, str], str]  # token vectors (s, b, width) and mask (b, s) to one
Operator = Callable[[GraphWriter, Sequence[str], Mapping[str, Any]], str]
Json = dict[str, Any]


def as_published(read: Read, name: str) -> Floats:
    """Change no tensor."""
    return read(name)


@dataclass(frozen=True)
class Network:
    """What is other than it should be; by default nothing.

    Attributes:
        change: Of the published weights.
        config: Fields of `EncoderConfig` with another value.
        operators: What is written instead of an operator, by its name.
        pool: Another pooling than the mean.
        pad_to: Length to which every batch is padded.
        sees_padding: Whether padding counts as tokens.
        tokenizer: Changes `tokenizer.json` in place.
        space: Fields of the space with another value than the declared one.
    """

    change: Change = as_published
    config: Mapping[str, Any] = field(default_factory=dict)
    operators: Mapping[str, Operator] = field(default_factory=dict)
    pool: Pool | None = None
    pad_to: int = 0
    sees_padding: bool = False
    tokenizer: Callable[[Json], Any] | None = None
    space: Mapping[str, Any] = field(default_factory=dict)


def open_network(
    network: Network, source: SourceFiles, artifact: Artifact, folder: Path
) -> LocalEmbedder:
    """Convert the published weights into a wrong artifact and load it.

    Args:
        network: What is wrong.
        source: The published files.
        artifact: The right one, at q32.
        folder: Where to write; made here.
    """
    folder.mkdir()
    _write_graph(network, source, folder)
    tokenizer = json.loads(artifact.tokenizer_file.read_text("utf-8"))
    if network.tokenizer:
        network.tokenizer(tokenizer)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    wrong = replace(artifact, folder=folder, space=replace(artifact.space, **network.space))
    engine: Engine = open_engine(wrong, 1)
    if network.pad_to:
        engine = _Padding(engine, network.pad_to, sees_padding=network.sees_padding)
    return LocalEmbedder(wrong, engine)


def _write_graph(network: Network, source: SourceFiles, folder: Path) -> None:
    with (
        open_published(source) as (right, published),
        (folder / WEIGHTS_FILE).open("wb") as weights,
    ):
        config = replace(right, **network.config)
        tensors: Any = _Changed(published, network.change)
        graph = _Writer(weights, network.operators)
        layers = FloatLayers(graph, config, tensors, np.float32)
        _Graph(graph, config, layers, tensors, network.pool).write("mean", 512)
    (folder / "model.onnx").write_bytes(graph.to_bytes())


class _Changed:
    """Tensors that are read through a change."""

    def __init__(self, tensors: Tensors, change: Change) -> None:
        self._tensors = tensors
        self._change = change

    def read(self, name: str) -> Floats:
        return self._change(self._tensors.read, name)

    def blocks(self, name: str) -> Iterator[Floats]:
        yield self.read(name)


class _Writer(GraphWriter):
    """Writes other operators than it is asked for."""

    def __init__(self, weights: BinaryIO, operators: Mapping[str, Operator]) -> None:
        super().__init__(weights)
        self._operators = operators

    def op(self, kind: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        if kind in self._operators:
            return self._operators[kind](self, inputs, attributes)
        return super().op(kind, inputs, domain, **attributes)


@dataclass(frozen=True)
class _Graph(EncoderGraph):
    """The network with another pooling."""

    pool: Pool | None

    def _pooled(self, x: str, mask: str, pooling: Pooling) -> str:
        return self.pool(self.graph, x, mask) if self.pool else super()._pooled(x, mask, pooling)


class _Padding:
    """An engine whose batches are always padded to one length."""

    def __init__(self, engine: Engine, length: int, *, sees_padding: bool) -> None:
        self._engine = engine
        self._length = length
        self._sees_padding = sees_padding

    @property
    def build(self) -> EngineBuild:
        return self._engine.build

    def run(self, batch: TokenBatch) -> FloatArray:
        more = max(0, self._length - batch.ids.shape[1])
        ids, mask = (np.pad(part, ((0, 0), (0, more))) for part in (batch.ids, batch.mask))
        return self._engine.run(TokenBatch(ids, np.ones_like(mask) if self._sees_padding else mask))

    def close(self) -> None:
        self._engine.close()


# ---------------------------------------------------------------- other poolings


def weighted(weights: Callable[[GraphWriter, str], str]) -> Pool:
    """A mean of the tokens with weights that are computed from the mask."""

    def pool(graph: GraphWriter, x: str, mask: str) -> str:
        wanted = weights(graph, mask)
        total = graph.op("ReduceSum", [wanted, graph.ints(1)], keepdims=1)
        shares = graph.op("Unsqueeze", [graph.op("Div", [wanted, total]), graph.ints(1)])
        return graph.op("Squeeze", [_product(graph, shares, x), graph.ints(1)])

    return pool


def padding_too(graph: GraphWriter, mask: str) -> str:
    """Every position weighs the same."""
    return graph.op("Add", [graph.op("Mul", [mask, graph.floats(0)]), graph.floats(1)])


def only_first(graph: GraphWriter, mask: str) -> str:
    """The first token alone: CLS."""
    return _as_float(graph, graph.op("Equal", [_place(graph, mask), graph.floats(1)]))


def only_last(graph: GraphWriter, mask: str) -> str:
    """The last token alone: SEP."""
    count = graph.op("ReduceSum", [mask, graph.ints(1)], keepdims=1)
    last = _as_float(graph, graph.op("Equal", [_place(graph, mask), count]))
    return graph.op("Mul", [last, mask])


def no_special(graph: GraphWriter, mask: str) -> str:
    """All but CLS and SEP."""
    inner = graph.op("Sub", [mask, only_last(graph, mask)])
    return graph.op("Sub", [inner, only_first(graph, mask)])


def no_separator(graph: GraphWriter, mask: str) -> str:
    """All but SEP."""
    return graph.op("Sub", [mask, only_last(graph, mask)])


def by_place(graph: GraphWriter, mask: str) -> str:
    """Later tokens weigh more."""
    return graph.op("Mul", [_place(graph, mask), mask])


def largest(graph: GraphWriter, x: str, mask: str) -> str:
    """Max pooling."""
    lowered = graph.op("Mul", [graph.op("Sub", [mask, graph.floats(1)]), graph.floats(1e4)])
    by_token = graph.op("Transpose", [graph.op("Unsqueeze", [lowered, graph.ints(2)])],
                        perm=[1, 0, 2])  # fmt: skip
    return graph.op("ReduceMax", [graph.op("Add", [x, by_token]), graph.ints(0)], keepdims=0)


def _product(graph: GraphWriter, shares: str, x: str) -> str:
    return graph.contrib("FusedMatMul", [shares, x], transBatchB=1)


def _place(graph: GraphWriter, mask: str) -> str:
    return graph.op("CumSum", [mask, graph.constant(np.array(1, np.int64))])


def _as_float(graph: GraphWriter, value: str) -> str:
    return graph.op("Cast", [value], to=FLOAT)
