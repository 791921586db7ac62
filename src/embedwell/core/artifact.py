"""An artifact: a model made runnable, for one engine, at one quantization."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from embedwell.core.space import Space

Quantization = Literal["q4", "q8", "q16", "q32"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)

Form = Literal["onnx", "gguf", "static"]
"""What an artifact's files are: a graph, a GGUF file, or a table of token vectors."""

Head = Literal["embedding", "rerank"]
"""What comes out: a vector of a text, or the score of a pair of texts."""

Cut = Literal["", "plain", "centred"]
"""How vectors are made shorter before they are normalized: not at all, by leaving out their end, or
that after a layer norm without weights."""


@dataclass(frozen=True)
class Artifact:
    """A folder with everything an engine needs, and where it came from.

    Attributes:
        space: The space that its vectors belong to.
        quantization: Bits per weight, `q4` to `q32`.
        engine: Name of the engine that executes it.
        folder: Where its files lie.
        key: SHA-256 over what determined its bytes: source weights, builder, quantization, recipe.
        weights_sha256: Hash of the published weights that it was made from.
        tokenizer_sha256: Hash of `tokenizer.json`.
        size_bytes: Bytes of all its files.
        recipe: Hash of the calibration recipe, or None where none was used.
        cut: How the engine's vectors become those of the space.
        head: What comes out; the space of one that scores pairs says nothing of vectors.
    """

    space: Space
    quantization: Quantization
    engine: str
    folder: Path
    key: str
    weights_sha256: str
    tokenizer_sha256: str
    size_bytes: int
    recipe: str | None = None
    cut: Cut = ""
    head: Head = "embedding"

    @property
    def name(self) -> str:
        """`model@quantization`, or `model:dimensions@quantization` where vectors are cut."""
        length = f":{self.space.dimensions}" if self.cut else ""
        return f"{self.space.model}{length}@{self.quantization}"

    @property
    def tokenizer_file(self) -> Path:
        """The tokenizer in the `tokenizers` library's JSON form."""
        return self.folder / "tokenizer.json"
