"""Operators written wrongly into the graph; see `wrong_readers_networks.Operator`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.wrong_readers_networks import Operator
from embedwell.models.graph import CONTRIB, FLOAT, GraphWriter

Inputs, Attributes = Sequence[str], Mapping[str, Any]


def relu(graph: GraphWriter, inputs: Inputs, _: Attributes) -> str:
    """ReLU where GELU is meant."""
    return graph.op("Relu", inputs)


def quick_gelu(graph: GraphWriter, inputs: Inputs, _: Attributes) -> str:
    """x · sigmoid(1.702 x), the coarser of GELU's two published approximations."""
    scaled = graph.op("Mul", [*inputs, graph.floats(1.702)])
    return graph.op("Mul", [*inputs, graph.op("Sigmoid", [scaled])])


def rms_norm(graph: GraphWriter, inputs: Inputs, attributes: Attributes) -> str:
    """Only the length is made even, the mean stays."""
    x, weight, bias = inputs
    square = graph.op("ReduceMean", [graph.op("Mul", [x, x]), graph.ints(-1)], keepdims=1)
    lengths = graph.op("Sqrt", [graph.op("Add", [square, graph.floats(attributes["epsilon"])])])
    scaled = graph.op("Mul", [graph.op("Div", [x, lengths]), weight])
    return graph.op("Add", [scaled, bias])


def unscaled(graph: GraphWriter, inputs: Inputs, attributes: Attributes) -> str:
    """Products without the factor that keeps attention scores small."""
    kept = {name: value for name, value in attributes.items() if name != "alpha"}
    return GraphWriter.op(graph, "FusedMatMul", inputs, CONTRIB, **kept)


def causal(graph: GraphWriter, inputs: Inputs, attributes: Attributes) -> str:
    """No token sees a later one: scores have shape (b, heads, s, s)."""
    (scores,) = inputs
    length = graph.op("Shape", [scores], start=3, end=4)
    row = graph.op("Range", [_zero(graph), _scalar(graph, length), _one(graph)])
    later = graph.op(
        "Greater",
        [graph.op("Unsqueeze", [row, graph.ints(0)]), graph.op("Unsqueeze", [row, graph.ints(1)])],
    )
    lowered = graph.op("Mul", [graph.op("Cast", [later], to=FLOAT), graph.floats(-1e4)])
    return GraphWriter.op(graph, "Softmax", [graph.op("Add", [scores, lowered])], **attributes)


def dynamic(bits: int) -> Operator:
    """Inputs of dense parts rounded, one scale for all that is in a batch."""

    def product(graph: GraphWriter, inputs: Inputs, attributes: Attributes) -> str:
        x, weight = inputs
        largest = graph.op("ReduceMax", [graph.op("Abs", [x])], keepdims=0)
        step = graph.op("Mul", [largest, graph.floats(1 / (2 ** (bits - 1) - 1))])
        rounded = graph.op("Mul", [graph.op("Round", [graph.op("Div", [x, step])]), step])
        return GraphWriter.op(graph, "MatMul", [rounded, weight], **attributes)

    return product


def cut_at(limit: float) -> Operator:
    """Inputs of dense parts rounded to 8 bits of a fixed range; what is beyond it is cut."""

    def product(graph: GraphWriter, inputs: Inputs, attributes: Attributes) -> str:
        x, weight = inputs
        step = graph.floats(limit / 127)
        clipped = graph.op("Clip", [x, graph.floats(-limit), graph.floats(limit)])
        rounded = graph.op("Mul", [graph.op("Round", [graph.op("Div", [clipped, step])]), step])
        return GraphWriter.op(graph, "MatMul", [rounded, weight], **attributes)

    return product


def _zero(graph: GraphWriter) -> str:
    return graph.constant(np.array(0, np.int64))


def _one(graph: GraphWriter) -> str:
    return graph.constant(np.array(1, np.int64))


def _scalar(graph: GraphWriter, value: str) -> str:
    return graph.op("Squeeze", [value, graph.ints(0)])
