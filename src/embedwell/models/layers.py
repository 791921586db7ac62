"""How each quantization writes the parts of a graph that hold weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from embedwell.core.vectors import FloatArray
from embedwell.models.graph import FLOAT, GraphWriter
from embedwell.models.networks.config import EncoderConfig, Site
from embedwell.models.quantize import FourBitBlocks, Int8Array, four_bit_blocks, row_scales, to_int8
from embedwell.models.recipe import Recipe
from embedwell.models.tensors import Tensors

_ZERO_POINT = np.array(128, np.uint8)  # activations are unsigned: the fast integer product wants it
_TINY = 1e-12


@dataclass(frozen=True)
class FloatLayers:
    """q32 and q16: weights as published, or rounded to half precision; computed in float32.

    Attributes:
        graph: What is written to.
        config: The network.
        tensors: The published weights.
        dtype: Element type on disk.
    """

    graph: GraphWriter
    config: EncoderConfig
    tensors: Tensors
    dtype: type[np.float32 | np.float16]

    def lookup(self, ids: str) -> str:
        """See `LayerWriter`."""
        shape = (self.config.n_words, self.config.width)
        table = self.graph.stream(self.dtype, shape, self.tensors.blocks("words.weight"))
        return self._widened(self.graph.op("Gather", [table, ids]))

    def dense(self, x: str, site: Site) -> list[str]:
        """See `LayerWriter`."""
        has_bias = self.config.has_bias(site)
        return [self._dense(x, name, has_bias=has_bias) for name in site.names]

    def _dense(self, x: str, name: str, *, has_bias: bool) -> str:
        weight = self.tensors.read(f"{name}.weight").T.astype(self.dtype)
        product = self.graph.op("MatMul", [x, self._widened(self.graph.constant(weight))])
        return _with_bias(self.graph, self.tensors, product, name) if has_bias else product

    def _widened(self, value: str) -> str:
        if self.dtype is np.float32:
            return value
        return self.graph.op("Cast", [value], to=FLOAT)


@dataclass(frozen=True)
class RowDynamicLayers:
    """q8 without a recipe: int8 weights, and each token's input scaled by its own maximum.

    A scale for each token, and not one for the whole batch, is what keeps a vector independent
    of the texts beside it.
    """

    graph: GraphWriter
    config: EncoderConfig
    tensors: Tensors

    def lookup(self, ids: str) -> str:
        """See `LayerWriter`."""
        return int8_lookup(self.graph, self.config, self.tensors, ids)

    def dense(self, x: str, site: Site) -> list[str]:
        """See `LayerWriter`."""
        graph = self.graph
        largest = graph.op("ReduceMax", [graph.op("Abs", [x]), graph.ints(-1)], keepdims=1)
        scale = graph.op("Mul", [largest, graph.floats(1 / 127)])
        scale = graph.op("Max", [scale, graph.floats(_TINY)])
        one, zero = graph.floats(1), graph.constant(_ZERO_POINT)
        rounded = graph.op("QuantizeLinear", [graph.op("Div", [x, scale]), one, zero])
        has_bias = self.config.has_bias(site)
        return [self._dense([rounded, scale], name, has_bias=has_bias) for name in site.names]

    def _dense(self, rounded: list[str], name: str, *, has_bias: bool) -> str:
        graph, weight = self.graph, self.tensors.read(f"{name}.weight")
        scales = row_scales(weight)
        product = graph.contrib(
            "MatMulIntegerToFloat",
            [
                rounded[0],
                graph.constant(to_int8(weight, scales).T),
                graph.floats(1),
                graph.constant(scales[:, 0]),
                graph.constant(_ZERO_POINT),
            ],
        )
        if not has_bias:
            return graph.op("Mul", [product, rounded[1]])
        bias = graph.constant(self.tensors.read(f"{name}.bias"))
        return graph.op("Add", [graph.op("Mul", [product, rounded[1]]), bias])


@dataclass(frozen=True)
class FourBitLayers:
    """q4: weights of 4 bits with a scale for each block of inputs; the table of words in int8."""

    graph: GraphWriter
    config: EncoderConfig
    tensors: Tensors

    def lookup(self, ids: str) -> str:
        """See `LayerWriter`."""
        return int8_lookup(self.graph, self.config, self.tensors, ids)

    def dense(self, x: str, site: Site) -> list[str]:
        """See `LayerWriter`."""
        has_bias = self.config.has_bias(site)
        return [self._dense(x, name, has_bias=has_bias) for name in site.names]

    def _dense(self, x: str, name: str, *, has_bias: bool) -> str:
        blocks: FourBitBlocks = four_bit_blocks(self.tensors.read(f"{name}.weight"))
        constant = self.graph.constant
        product = self.graph.contrib(
            "MatMulNBits",
            [x, constant(blocks.packed), constant(blocks.scales)],
            K=blocks.width,
            N=len(blocks.packed),
            bits=4,
            block_size=blocks.block_size,
            accuracy_level=4,
        )
        return _with_bias(self.graph, self.tensors, product, name) if has_bias else product


def int8_lookup(graph: GraphWriter, config: EncoderConfig, tensors: Tensors, ids: str) -> str:
    """Word embeddings in int8 with a scale for each word: float32, shape (s, b, width)."""
    scales: list[FloatArray] = []

    def rounded_blocks() -> Iterator[Int8Array]:
        for block in tensors.blocks("words.weight"):
            scales.append(row_scales(block))
            yield to_int8(block, scales[-1])

    table = graph.stream(np.int8, (config.n_words, config.width), rounded_blocks())
    words = graph.op("Cast", [graph.op("Gather", [table, ids])], to=FLOAT)
    scale = graph.op("Gather", [graph.constant(np.concatenate(scales)), ids])
    return graph.op("Mul", [words, scale])


@dataclass(frozen=True)
class StaticLayers:
    """q8 with a recipe: int8 weights and inputs, every scale fixed at calibration.

    Attributes:
        graph: What is written to.
        config: The network.
        tensors: The published weights.
        recipe: How each site is rounded.
    """

    graph: GraphWriter
    config: EncoderConfig
    tensors: Tensors
    recipe: Recipe

    def lookup(self, ids: str) -> str:
        """See `LayerWriter`."""
        return int8_lookup(self.graph, self.config, self.tensors, ids)

    def dense(self, x: str, site: Site) -> list[str]:
        """See `LayerWriter`."""
        graph, recipe = self.graph, self.recipe.sites[site.key]
        if site.place != "attention_out":  # there the values come out smoothed already
            x = graph.op("Mul", [x, graph.constant(self._smooth(site))])
        step, zero = graph.floats(recipe.step.item()), graph.constant(recipe.zero[0])
        rounded = graph.op("QuantizeLinear", [x, step, zero])
        outputs = range(len(recipe.bias))
        height = len(outputs) // len(site.names)
        return [
            self._dense(site, name, outputs[number * height :][:height], [rounded, step, zero])
            for number, name in enumerate(site.names)
        ]

    def _smooth(self, site: Site) -> FloatArray:
        recipe = self.recipe.sites[site.key]
        return recipe.smooth[recipe.copies]

    def _dense(self, site: Site, name: str, part: range, rounded: list[str]) -> str:
        """One dense part, whose outputs are a part of those of the site."""
        graph, recipe = self.graph, self.recipe.sites[site.key].outputs(part)
        weight = recipe.integer_weight(self.tensors.read(f"{name}.weight"))
        scales, bias = recipe.scales * recipe.gains, recipe.bias
        if name.endswith(".value"):
            smooth = self._smooth(self.config.sites(site.layer)[1])
            scales, bias = scales * smooth, bias * smooth
        if site.place == "ffn_in":
            copies = self.recipe.sites[self.config.sites(site.layer)[3].key].copies
            weight, scales, bias = weight[copies], scales[copies], bias[copies]
        inputs, step, zero = rounded
        weights = [graph.constant(weight.T), step, graph.constant(scales), zero]
        operands = [inputs, *weights, "", graph.constant(bias)]
        return graph.contrib("MatMulIntegerToFloat", operands)


def _with_bias(graph: GraphWriter, tensors: Tensors, product: str, name: str) -> str:
    return graph.op("Add", [product, graph.constant(tensors.read(f"{name}.bias"))])
