"""text-embeddings-inference: `/embed`, with `/info` about the model and the server's limits."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from embedwell.core.errors import RemoteRefusedError
from embedwell.engines.remote.dialect import Ask, Rows, Told, decoded, rows


class _Info(Struct):
    model_id: str
    max_input_length: int
    max_client_batch_size: int
    version: str
    model_sha: str | None = None
    model_dtype: str = ""
    model_type: dict[str, object] | str = ""


class Tei:
    """It tells everything: the model's commit, its longest input and the largest batch."""

    name = "tei"
    path = "/embed"
    cuts = True

    def is_spoken(self, ask: Ask) -> bool:
        """Whether it tells of its model and limits."""
        decoded(ask("GET", "/info", b""), _Info)
        return True

    def look(self, ask: Ask, names: Sequence[str]) -> Told:
        """The model that it has, whatever it was expected to be called."""
        del names
        info = decoded(ask("GET", "/info", b""), _Info)
        kinds = {kind.lower() for kind in info.model_type}
        if isinstance(info.model_type, dict) and "embedding" not in kinds:
            raise RemoteRefusedError(
                f"text-embeddings-inference serves {info.model_id}, which does not embed.",
                "Start it with a model that does.",
                f"its model_type is {', '.join(sorted(kinds))}",
            )
        digest = ":".join(part for part in (info.model_sha, info.model_dtype) if part)
        return Told(
            info.model_id,
            info.version,
            digest if info.model_sha else "",
            max_texts=max(info.max_client_batch_size, 1),
            max_tokens=info.max_input_length,
        )

    def body(self, model: str, texts: Sequence[str], *, cut: bool) -> bytes:
        """Texts that are too long are cut or refused, as asked."""
        del model
        return msgspec.json.encode({"inputs": texts, "truncate": cut, "normalize": True})

    def read(self, answer: bytes, n_texts: int) -> Rows:
        """Vectors in the order of the texts."""
        return Rows(rows(decoded(answer, list[list[float | None]]), n_texts))
