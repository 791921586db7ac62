"""Published weights become an ONNX artifact, without torch and a tensor at a time."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from embedwell.core.artifact import Form, Quantization
from embedwell.core.errors import ConversionError, WrongBytesError
from embedwell.core.events import Watch
from embedwell.models import bert
from embedwell.models.graph import WEIGHTS_FILE, GraphWriter
from embedwell.models.key import recipe_place
from embedwell.models.layers import FloatLayers, FourBitLayers, RowDynamicLayers, StaticLayers
from embedwell.models.recipe import Recipe, check_recipe, read_recipe
from embedwell.models.source import SourceFiles
from embedwell.models.tensors import Tensors

MODEL_FILE = "model.onnx"
_CONFIG, _TOKENIZER = "config.json", "tokenizer.json"


def convert(
    source: SourceFiles, quantization: Quantization, form: Form, folder: Path, watch: Watch
) -> None:
    """Write the files of an artifact into an existing, empty folder.

    `onnx` is `model.onnx`, `weights.bin` and `tokenizer.json`.

    The same source gives the same bytes on every machine. Memory stays near one tensor of the
    model; the table of words passes in blocks.

    Args:
        source: The published files, their hashes checked.
        quantization: `q4` to `q32`.
        form: What the engine reads.
        folder: Where to write; what is there after an error is the caller's to remove.
        watch: Told of each tensor that was read.

    Raises:
        WrongBytesError: A published file or the recipe is not what its name says.
        ConversionError: The network is not one that the builder knows.
        TaskCancelledError: The watch asked to stop.
    """
    if source.card.architecture != "bert" or form != "onnx":
        raise ConversionError(
            f"There is no builder for the architecture '{source.card.architecture}'.",
            "Choose a model of the architecture 'bert'.",
        )
    config = bert.read_config(source.paths[_CONFIG])
    recipe = _recipe(source, config) if quantization == "q8" else None
    shapes = config.shapes()
    count = _Count(watch, len(shapes))
    with (
        Tensors(source.paths[source.card.weights], shapes, count.add_one) as tensors,
        (folder / WEIGHTS_FILE).open("wb") as weights,
    ):
        graph = GraphWriter(weights)
        layers = _layers(quantization, (graph, config, tensors), recipe)
        network = bert.BertGraph(graph, config, layers, tensors)
        network.write(source.card.pooling, source.card.max_tokens)
    (folder / MODEL_FILE).write_bytes(graph.to_bytes())
    shutil.copyfile(source.paths[_TOKENIZER], folder / _TOKENIZER)


def _recipe(source: SourceFiles, config: bert.BertConfig) -> Recipe | None:
    path = recipe_place(source)
    if path is None:
        return None
    recipe = read_recipe(path)
    if recipe.weights_sha256 != source.card.files[source.card.weights].sha256:
        raise WrongBytesError(
            f"The recipe '{path}' was made for other weights than those of '{source.card.name}'.",
            f"Make one with `embedwell models calibrate {source.card.name}`.",
        )
    check_recipe(recipe, config)
    return recipe


def _layers(
    quantization: Quantization,
    parts: tuple[GraphWriter, bert.BertConfig, Tensors],
    recipe: Recipe | None,
) -> bert.LayerWriter:
    match quantization:
        case "q32":
            return FloatLayers(*parts, np.float32)
        case "q16":
            return FloatLayers(*parts, np.float16)
        case "q8":
            return StaticLayers(*parts, recipe) if recipe else RowDynamicLayers(*parts)
        case "q4":
            return FourBitLayers(*parts)


class _Count:
    """Tells a watch how many tensors were read."""

    def __init__(self, watch: Watch, total: int) -> None:
        self._watch = watch
        self._done = 0
        self._total = total

    def add_one(self) -> None:
        self._done += 1
        self._watch.progress("convert", self._done, self._total, "tensors")
