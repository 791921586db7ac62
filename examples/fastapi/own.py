"""The embeddings that the application had before: words, hashed."""

from __future__ import annotations

import hashlib
import math

DIMENSION = 256


class HashedWords:
    """Sums up a fixed place for each word; no model."""

    async def generate_embedding(self, text: str) -> list[float]:
        """A unit vector."""
        vector = [0.0] * DIMENSION
        for word in text.lower().split():
            digest = hashlib.sha256(word.encode()).digest()
            vector[digest[0]] += 1.0
        length = math.sqrt(sum(value * value for value in vector)) or 1.0
        return [value / length for value in vector]
