"""The catalogue: what is known of each model, read from `catalogue.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from embedwell.core.artifact import Cut, Quantization
from embedwell.core.errors import UnknownModelError
from embedwell.core.space import Pooling, Space


@dataclass(frozen=True)
class PinnedFile:
    """A published file: its SHA-256 (64 hex digits) and its size in bytes.

    A hash that nobody published in time for the catalogue is empty, and a size 0: what the hub says
    at first use is recorded, and enforced from then on.
    """

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class WheelMirror:
    """A wheel on the package index that carries the model's files below `folder`."""

    project: str
    version: str
    folder: str


@dataclass(frozen=True)
class FirstValues:
    """Published first values of the vector of `text`, to be met by q32 within `tolerance`."""

    text: str
    values: tuple[float, ...]
    tolerance: float


@dataclass(frozen=True)
class Agreement:
    """Cosine to q32 over natural texts, mean and worst."""

    mean: float
    worst: float


@dataclass(frozen=True)
class GgufSource:
    """A model's weights as a GGUF file on the hub, with its tokenizer inside."""

    hub_id: str
    revision: str
    file: str
    pin: PinnedFile


@dataclass(frozen=True)
class ModelCard:
    """One row of the catalogue.

    Attributes:
        name: What users type.
        hub_id: `owner/name` on the hub.
        revision: Commit on the hub.
        licence: SPDX identifier.
        aliases: Other names that programs call it by.
        summary: One sentence for people who choose.
        architecture: The graph builder's name, such as `bert`.
        dimensions: Length of a vector.
        max_tokens: Longest input, special tokens included.
        pooling: How token vectors become one.
        normalized: Whether vectors have length 1.
        query_prompt: Text put before every query.
        document_prompt: Text put before every document.
        languages: ISO 639-1 codes that the model covers.
        domain: `text` or `code`.
        n_parameters: Number of weights.
        files: The files that are needed, each with its hash.
        wheel: A wheel that carries the same bytes, if there is one.
        first_values: Published values that q32 must give, if there are any.
        agreement: What each lower quantization keeps.
        matryoshka: Shorter lengths that its vectors were trained to be cut to, longest first.
        centred_cut: Whether vectors pass a layer norm without weights before they are cut.
        head: What comes out: an `embedding`, or the score of a pair of texts (`rerank`).
        latency: How long one query takes beside the default model's, as a class.
        verified: Whether it was run here on its real weights.
        gguf: The weights that it publishes as a GGUF file, for the tag `:gguf`.
        vocabulary: Number of tokens in its table of words; 0 where that is not known.
        commit: The commit that its files come from, where that is not `revision`.
        place: The folder or file on this machine that the user brought it from.
        full_dimensions: Length of a vector before it was cut; 0 where it is not.
        asked: The name that finds exactly this card again, where that is not `name`.
    """

    name: str
    hub_id: str
    revision: str
    licence: str
    summary: str
    architecture: str
    dimensions: int
    max_tokens: int
    pooling: Pooling
    languages: tuple[str, ...]
    n_parameters: int
    files: Mapping[str, PinnedFile] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    normalized: bool = True
    query_prompt: str = ""
    document_prompt: str = ""
    domain: Literal["text", "code"] = "text"
    wheel: WheelMirror | None = None
    first_values: FirstValues | None = None
    agreement: Mapping[Quantization, Agreement] = field(default_factory=dict)
    matryoshka: tuple[int, ...] = ()
    centred_cut: bool = False
    head: Literal["embedding", "rerank"] = "embedding"
    latency: Literal["instant", "low", "medium", "high"] = "low"
    verified: bool = False
    gguf: GgufSource | None = None
    vocabulary: int = 0
    commit: str = ""
    place: str = ""
    full_dimensions: int = 0
    asked: str = ""

    @property
    def called(self) -> str:
        """The name that finds exactly this card again."""
        return self.asked or self.name

    @property
    def cut(self) -> Cut:
        """How its vectors are made shorter; empty where they are not."""
        if not self.full_dimensions:
            return ""
        return "centred" if self.centred_cut else "plain"

    @property
    def is_pinned(self) -> bool:
        """Whether the hash and the size of every file are known."""
        return bool(self.files) and all(
            pin.sha256 and pin.size_bytes for pin in self.files.values()
        )

    @property
    def repository(self) -> tuple[str, str]:
        """`owner/name` on the hub and the revision that its files come from."""
        if self.gguf is not None and self.gguf.file in self.files:
            return self.gguf.hub_id, self.commit or self.gguf.revision
        return self.hub_id, self.commit or self.revision

    @property
    def weights(self) -> str:
        """Name of the published file with the weights: safetensors or GGUF."""
        return next(name for name in self.files if name.endswith((".safetensors", ".gguf")))

    @property
    def space(self) -> Space:
        """The space that all artifacts of this model share."""
        return Space(
            model=self.name,
            revision=self.revision,
            pooling=self.pooling,
            normalized=self.normalized,
            query_prompt=self.query_prompt,
            document_prompt=self.document_prompt,
            max_tokens=self.max_tokens,
            dimensions=self.dimensions,
        )


def card(name: str) -> ModelCard:
    """The catalogue's row of that name, or of one of its aliases.

    Raises:
        UnknownModelError: There is none.
    """
    rows = catalogue()
    if name in rows:
        return rows[name]
    for row in rows.values():
        if name in row.aliases:
            return row
    known = ", ".join(rows)
    raise UnknownModelError(
        f"There is no model '{name}' in the catalogue.", f"Choose one of: {known}."
    )


@cache
def catalogue() -> Mapping[str, ModelCard]:
    """All rows by name, in the catalogue's order."""
    text = Path(__file__).with_name("catalogue.toml").read_text("utf-8")
    rows: dict[str, ModelCard] = {
        name: msgspec.convert({"name": name, **row}, ModelCard)
        for name, row in tomllib.loads(text).items()
    }
    return rows
