"""Which model a server serves, known by what it says and by what it computes.

A name proves nothing: a server may load another model under it at any moment, and most protocols
tell no digest. So every request carries one more text, the sentinel, whose vector must stay where
it was; and the build record holds a fingerprint of a few vectors.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from embedwell.core.build import BuildRecord
from embedwell.core.vectors import FloatArray, normalized
from embedwell.engines.remote.dialect import Told

SENTINEL = "A lighthouse keeper writes down 3 ships, 12 gulls and the hour of the tide."
"""Sent with every request: about 20 tokens."""

FINGERPRINTED = (
    SENTINEL,
    "def tide(hour: int) -> float: return 2.5 * math.sin(hour / 12.42 * math.tau)",
    " ".join(
        f"Page {n}: le gardien du phare note l'heure, le vent et {n} voiles." for n in range(12)
    ),
)
"""Sent once: text, code, and a long one of about 300 tokens."""

# llama.cpp's server was measured: in any company the sentinel stays where it is (below 1e-6), Q8_0
# in place of F32 moves it by 3.3e-4, Q4_0 by 0.03.
_MOST_MOVED = 2e-4
# Coarse enough that the last digits of a sum do not matter, fine enough for 8 bits against 4.
_STEPS = 2.0


@dataclass(frozen=True)
class Identity:
    """What serves, as far as it can be known.

    Attributes:
        told: What the server says.
        served: What it calls the model in its answers; empty where it does not.
        sentinel: float32, shape (d,), length 1.
        build: The record of all of this.
        seen_at: When, on the monotonic clock.
    """

    told: Told
    served: str
    sentinel: FloatArray
    build: BuildRecord
    seen_at: float

    def is_still(self, sentinel: FloatArray, served: str) -> bool:
        """Whether the model that computed a sentinel's vector may be this one."""
        if served != self.served or sentinel.shape != self.sentinel.shape:
            return False
        return float(normalized(sentinel[None])[0] @ self.sentinel) >= 1 - _MOST_MOVED


def identity(
    told: Told, served: str, vectors: FloatArray, *, model: str, dialect: str, place: str
) -> Identity:
    """Who serves, from what was told and from the vectors of `FINGERPRINTED` (or its first).

    The key of the build record holds the server's address and the fingerprint: who was admitted
    to a store is not asked again only while all of it stays the same.

    Args:
        told: By the server.
        served: The model's name in its answer.
        vectors: float32, shape (n, d), usable.
        model: The name of the space.
        dialect: What the server speaks.
        place: Its address.
    """
    units = normalized(vectors)
    mark = fingerprint(units)
    parts = [place, dialect, told.model, told.digest, served, told.max_tokens, mark]
    build = BuildRecord(
        artifact=model,
        artifact_key=hashlib.sha256(json.dumps(parts).encode()).hexdigest(),
        weights_sha256=told.digest,
        tokenizer_sha256="",
        quantization="",
        engine="http",
        engine_version=f"{dialect} {told.version}".strip(),
        native=told.digest or mark,
        tokenizers_version="",
        cpu=(),
        host=place,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Identity(told, served, units[0], build, time.monotonic())


def fingerprint(units: FloatArray) -> str:
    """SHA-256 (64 hex digits) of vectors rounded to half of their mean value's size.

    Args:
        units: float32, shape (n, d), each of length 1.
    """
    steps = np.rint(units * (np.sqrt(units.shape[1]) * _STEPS)).astype("<i2")
    return hashlib.sha256(steps.tobytes()).hexdigest()
