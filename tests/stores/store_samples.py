"""Small stores and documents for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from embedwell.core.build import BuildRecord
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray
from embedwell.stores.protocol import (
    CodeSpace,
    CollectionSettings,
    Document,
    DocumentChunks,
    StoredChunk,
)

DIMENSIONS = 16
SPACE = Space("tiny", "1", "mean", True, "", "", 32, DIMENSIONS)
SETTINGS = CollectionSettings(SPACE, 20, "a test")
CODE_SPACE = Space("tiny-code", "1", "mean", True, "", "", 32, 24)
PAIR = CollectionSettings(SPACE, 20, "a test", CodeSpace(CODE_SPACE, "another"))
HYBRID = replace(PAIR, code=CodeSpace(CODE_SPACE, "another", hybrid=True))


def signs(number: int, dimensions: int = DIMENSIONS) -> FloatArray:
    """A vector of ±1/4, exact in float16: cosines between such are multiples of 2 / dimensions."""
    digest = hashlib.sha256(str(number).encode()).digest()
    bits = np.unpackbits(np.frombuffer(digest[: dimensions // 8], np.uint8))
    return np.where(bits, np.float32(0.25), np.float32(-0.25))


def wide(number: int) -> FloatArray:
    """A vector of 24 dimensions, exact in float16, as another model might give it."""
    values = np.random.default_rng(number).integers(1, 100, 24) / 64
    return np.where(np.arange(24) % 2, -values, values).astype(np.float32)


def build(quantization: str = "q32", host: str = "") -> BuildRecord:
    """A build record."""
    fields = ("tiny@" + quantization, "a" * 64, "w" * 64, "t" * 64, quantization)
    return BuildRecord(*fields, "fake", "1.0", "n" * 40, "0.2", ("avx2", "fma"), host, "")


def item(
    key: str,
    texts: Sequence[str],
    vectors: Sequence[FloatArray] | None = None,
    *,
    title: str = "",
    language: str = "markdown",
    kind: str = "text",
    is_record: bool = False,
    metadata: Mapping[str, Any] | None = None,
    source: int | None = None,
) -> DocumentChunks:
    """A document with one chunk for each text."""
    rows = vectors if vectors is not None else [signs(len(text)) for text in texts]
    return DocumentChunks(
        Document(
            key,
            sum(map(len, texts)),
            7,
            hashlib.sha256("".join(texts).encode("utf-8", "replace")).hexdigest(),
            kind,  # type: ignore[arg-type]
            language,
            is_record,
            metadata or {},
            source,
        ),
        [
            StoredChunk(at, at + len(text), at + 1, at + 2, title, text, sha(text))
            for at, text in enumerate(texts)
        ],
        np.array(rows, np.float32).reshape(len(texts), len(rows[0]) if rows else DIMENSIONS),
    )


def code_item(
    key: str, texts: Sequence[str], numbers: Sequence[int] = (), *, is_in_main: bool = False
) -> DocumentChunks:
    """A code document for a pair: its vectors in the code space are `wide`, in the main `signs`."""
    numbers = numbers or range(len(texts))
    made = item(key, texts, [signs(n) for n in numbers], kind="code", language="python")
    rows = np.array([wide(n) for n in numbers], np.float32).reshape(len(texts), 24)
    main = made.vectors if is_in_main else made.vectors[:0]
    return DocumentChunks(made.document, made.chunks, main, rows)


def sha(text: str) -> str:
    """What a chunk with this text has as `embedded_sha256`."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
