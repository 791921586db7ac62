"""OpenAI's routes, which many servers imitate: `/v1/embeddings` and `/v1/models`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import numpy as np
from msgspec import Struct

from embedwell.core.errors import RemoteAnswerError, RemoteRefusedError
from embedwell.engines.remote.dialect import Ask, Rows, Told, decoded, in_order, rows, wrong


class _Model(Struct):
    id: str


class _Models(Struct):
    data: list[_Model]


class Embedding(Struct):
    """One numbered vector: numbers, or base64 of little-endian float32."""

    index: int
    embedding: list[float | None] | str


class Embeddings(Struct):
    """The answer of `/v1/embeddings`."""

    data: list[Embedding]
    model: str = ""


class OpenAI:
    """What is too long is refused: the protocol has no word for cutting."""

    name = "openai"
    path = "/v1/embeddings"
    cuts = False

    def is_spoken(self, ask: Ask) -> bool:
        """Whether it lists models."""
        decoded(ask("GET", "/v1/models", b""), _Models)
        return True

    def look(self, ask: Ask, names: Sequence[str]) -> Told:
        """Which of the names it lists; it tells no version, no digest and no limits."""
        listed: set[str] = set()
        # A key may be good for embedding alone, and some servers list nothing.
        with suppress(RemoteRefusedError, RemoteAnswerError):
            listed = {model.id for model in decoded(ask("GET", "/v1/models", b""), _Models).data}
        return Told(next((name for name in names if name in listed), names[0]))

    def body(self, model: str, texts: Sequence[str], *, cut: bool) -> bytes:
        """Numbers are asked for: not every server has base64."""
        del cut
        return msgspec.json.encode({"model": model, "input": texts, "encoding_format": "float"})

    def read(self, answer: bytes, n_texts: int) -> Rows:
        """Vectors by their number."""
        return numbered(decoded(answer, Embeddings), n_texts)


def numbered(found: Embeddings, n_texts: int) -> Rows:
    """The vectors of an answer that numbers them, in the order of the texts.

    Raises:
        RemoteAnswerError: They are not one for each text.
    """
    order = in_order([one.index for one in found.data], n_texts)
    return Rows(rows([_numbers(found.data[at].embedding) for at in order], n_texts), found.model)


def _numbers(given: list[float | None] | str) -> list[float | None]:
    if not isinstance(given, str):
        return given
    try:
        raw = base64.b64decode(given, validate=True)
    except binascii.Error as error:
        raise wrong(f"a vector is neither numbers nor base64 ({error})") from error
    if len(raw) % 4:
        raise wrong(f"a vector has {len(raw)} bytes, which are no float32 values")
    values: list[float | None] = np.frombuffer(raw, "<f4").tolist()
    return values
