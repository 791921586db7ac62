"""Published weights become an ONNX artifact, without torch and a tensor at a time."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from embedwell.core.artifact import Form, Quantization
from embedwell.core.errors import WrongBytesError
from embedwell.core.events import Watch
from embedwell.models.encoder import EncoderGraph, LayerWriter
from embedwell.models.graph import WEIGHTS_FILE, GraphWriter
from embedwell.models.key import recipe_place
from embedwell.models.layers import FloatLayers, FourBitLayers, RowDynamicLayers, StaticLayers
from embedwell.models.networks.config import EncoderConfig
from embedwell.models.opening import open_network
from embedwell.models.recipe import Recipe, check_recipe, read_recipe
from embedwell.models.source import SourceFiles
from embedwell.models.tensors import Tensors
from embedwell.models.tokenizer_file import check_tokenizer

MODEL_FILE = "model.onnx"
_TOKENIZER = "tokenizer.json"


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
    if form == "static":
        from embedwell.models.static import write_static  # noqa: PLC0415 - one of several forms

        write_static(source, quantization, folder, watch)
        return
    if form == "gguf":
        from embedwell.models.gguf.artifact import write_gguf  # noqa: PLC0415 - the same

        write_gguf(source, quantization, folder, watch)
        return
    with (
        open_network(source, watch) as (config, tensors),
        (folder / WEIGHTS_FILE).open("wb") as weights,
    ):
        _write_tokenizer(source, folder / _TOKENIZER)
        check_tokenizer(folder / _TOKENIZER, config.n_words)
        recipe = _recipe(source, config) if quantization == "q8" else None
        graph = GraphWriter(weights)
        layers = _layers(quantization, (graph, config, tensors), recipe)
        EncoderGraph(graph, config, layers, tensors).write(
            source.card.pooling, source.card.max_tokens
        )
    (folder / MODEL_FILE).write_bytes(graph.to_bytes())


def _write_tokenizer(source: SourceFiles, target: Path) -> None:
    """The published tokenizer, or that in the GGUF file."""
    if _TOKENIZER in source.paths:
        shutil.copyfile(source.paths[_TOKENIZER], target)
        return
    from embedwell.models.gguf.tokenizer import write_tokenizer  # noqa: PLC0415 - one of two forms

    write_tokenizer(source.paths[source.card.weights], target)


def _recipe(source: SourceFiles, config: EncoderConfig) -> Recipe | None:
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
    parts: tuple[GraphWriter, EncoderConfig, Tensors],
    recipe: Recipe | None,
) -> LayerWriter:
    match quantization:
        case "q32":
            return FloatLayers(*parts, np.float32)
        case "q16":
            return FloatLayers(*parts, np.float16)
        case "q8":
            return StaticLayers(*parts, recipe) if recipe else RowDynamicLayers(*parts)
        case "q4":
            return FourBitLayers(*parts)
