"""Ollama's own routes: `/api/embed`, with `/api/tags` and `/api/show` about its models."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from embedwell.core.errors import RemoteAnswerError, RemoteRefusedError
from embedwell.engines.remote.dialect import Ask, Rows, Told, decoded, rows

_KEEP = "5m"


class _Version(Struct):
    version: str


class _Tag(Struct):
    name: str
    digest: str = ""


class _Tags(Struct):
    models: list[_Tag]


class _Shown(Struct):
    model_info: dict[str, Any] = {}


class _Embedded(Struct):
    embeddings: list[list[float | None]]
    model: str = ""


class Ollama:
    """Texts that are too long are refused when asked to, so that no cut goes unseen."""

    name = "ollama"
    path = "/api/embed"
    cuts = True

    def is_spoken(self, ask: Ask) -> bool:
        """Whether it tells a version and lists models."""
        decoded(ask("GET", "/api/version", b""), _Version)
        decoded(ask("GET", "/api/tags", b""), _Tags)
        return True

    def look(self, ask: Ask, names: Sequence[str]) -> Told:
        """The version, the model's digest and its longest input."""
        version = decoded(ask("GET", "/api/version", b""), _Version).version
        tags = decoded(ask("GET", "/api/tags", b""), _Tags).models
        tag = _found(tags, names) or _Tag(names[0])
        asked = msgspec.json.encode({"model": tag.name})
        info: dict[str, Any] = {}
        with suppress(RemoteRefusedError, RemoteAnswerError):  # older ones do not tell
            info = decoded(ask("POST", "/api/show", asked), _Shown).model_info
        lengths = [
            value
            for key, value in info.items()
            if key.endswith(".context_length") and isinstance(value, int)
        ]
        return Told(tag.name, version, tag.digest, max_tokens=min(lengths, default=0))

    def body(self, model: str, texts: Sequence[str], *, cut: bool) -> bytes:
        """Texts that are too long are cut or refused, as asked."""
        asked = {"model": model, "input": texts, "truncate": cut, "keep_alive": _KEEP}
        return msgspec.json.encode(asked)

    def read(self, answer: bytes, n_texts: int) -> Rows:
        """Vectors in the order of the texts."""
        found = decoded(answer, _Embedded)
        return Rows(rows(found.embeddings, n_texts), found.model)


def _found(tags: Sequence[_Tag], names: Sequence[str]) -> _Tag | None:
    """The model that has one of the names, where none asks for a tag in any quantization."""
    for name in names:
        for tag in tags:
            if tag.name in {name, f"{name}:latest"}:
                return tag
    for name in names:
        for tag in tags:
            if tag.name.partition(":")[0] == name:
                return tag
    return None
