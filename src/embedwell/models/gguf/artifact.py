"""The artifact that llama.cpp runs: the GGUF file as it is, and its tokenizer."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path

from embedwell.core.artifact import Quantization
from embedwell.core.errors import ConversionError
from embedwell.core.events import Watch
from embedwell.models.gguf.config import check_known
from embedwell.models.gguf.header import GgufHeader, read_header
from embedwell.models.gguf.level import level_of
from embedwell.models.gguf.names import has_two_norms
from embedwell.models.gguf.tokenizer import tokenizer_json
from embedwell.models.source import SourceFiles

GGUF_FILE = "model.gguf"

_BLOCK = 16 << 20


def write_gguf(source: SourceFiles, quantization: Quantization, folder: Path, watch: Watch) -> None:
    """Write `model.gguf` and `tokenizer.json` into an empty folder.

    The file is linked where the disk allows it and the file can be written to, else copied.

    Args:
        source: A model whose weights are a GGUF file.
        quantization: It must be the file's own.
        folder: Where to write.
        watch: Told of each block that was copied.

    Raises:
        ConversionError: The weights are no GGUF file, or of another quantization.
        WrongBytesError: The file is not sound.
        TaskCancelledError: The watch asked to stop.
    """
    path = source.paths[source.card.weights]
    if not source.card.weights.endswith(".gguf"):
        raise ConversionError(
            f"llama.cpp needs a GGUF file, but the weights of '{source.card.name}' are "
            f"'{source.card.weights}'.",
            (f"Name '{source.card.name}:gguf', or a" if source.card.gguf else "Name a")
            + " GGUF file of it with the setting `model_files`; or set `engine` to onnx.",
        )
    header = read_header(path)
    check_known(header)
    found = quantization_of(header)
    if quantization != found:
        raise ConversionError(
            f"'{source.card.weights}' holds its weights at {found}, and llama.cpp runs them as "
            f"they are; asked for was {quantization}.",
            f"Set `quantization` to {found}, or `engine` to onnx.",
        )
    _refuse_exchanged_halves(header)
    text = tokenizer_json(header)
    _link_or_copy(path.resolve(), folder / GGUF_FILE, watch)
    (folder / "tokenizer.json").write_text(text, "utf-8")


def quantization_of(header: GgufHeader) -> Quantization:
    """The level that a file's matrices have on average: `q4` for all that is below `q8`."""
    matrices = [
        place
        for name, place in header.tensors.items()
        if len(place.shape) > 1 and name not in {"position_embd.weight", "token_types.weight"}
    ]
    n_weights = sum(prod(place.shape) for place in matrices)
    return level_of(sum(place.n_bytes for place in matrices), n_weights)


def _refuse_exchanged_halves(header: GgufHeader) -> None:
    """llama-cpp-python 0.3.36 applies GELU to the wrong half in Jina's code models.

    Their cosine with the right vectors was 0.5 on random weights; files that have the two halves
    apart give the right ones.
    """
    if has_two_norms(header) and "blk.0.ffn_gate.weight" not in header.tensors:
        raise ConversionError(
            f"llama.cpp computes the network in '{header.path.name}' wrongly.",
            "Set `engine` to onnx, which reads the same file.",
        )


def _link_or_copy(path: Path, target: Path, watch: Watch) -> None:
    if os.access(path, os.W_OK):  # an artifact's files are opened to be flushed
        try:
            os.link(path, target)
        except OSError:  # another disk, or one without links
            pass
        else:
            return
    total = path.stat().st_size
    with path.open("rb") as read, target.open("wb") as written:
        while block := read.read(_BLOCK):
            written.write(block)
            watch.progress("convert", read.tell(), total, "bytes")
