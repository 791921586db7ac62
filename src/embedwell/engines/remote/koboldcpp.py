"""KoboldCpp's own route for embeddings, `/api/extra/embeddings`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from embedwell.core.errors import RemoteRefusedError
from embedwell.engines.remote.dialect import Ask, Rows, Told, decoded
from embedwell.engines.remote.openai import Embeddings, numbered


class _Version(Struct):
    result: str
    version: str
    embeddings: bool = True


class KoboldCpp:
    """It has one model and embeds one text after the other; a text that fails has no numbers."""

    name = "koboldcpp"
    path = "/api/extra/embeddings"
    cuts = True

    def is_spoken(self, ask: Ask) -> bool:
        """Whether it says its name."""
        return _version(ask).result == "KoboldCpp"

    def look(self, ask: Ask, names: Sequence[str]) -> Told:
        """The version; what model it has stands in every answer."""
        found = _version(ask)
        if not found.embeddings:
            raise RemoteRefusedError(
                f"KoboldCpp {found.version} has no model for embeddings.",
                "Start it with `--embeddingsmodel FILE`.",
                "it says so at /api/extra/version",
            )
        return Told(names[0], found.version, max_texts=64)

    def body(self, model: str, texts: Sequence[str], *, cut: bool) -> bytes:
        """Texts that are too long are cut, or get no numbers, as asked."""
        return msgspec.json.encode({"model": model, "input": texts, "truncate": cut})

    def read(self, answer: bytes, n_texts: int) -> Rows:
        """Vectors by their number."""
        return numbered(decoded(answer, Embeddings), n_texts)


def _version(ask: Ask) -> _Version:
    return decoded(ask("GET", "/api/extra/version", b""), _Version)
