"""What embedding a batch of texts gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedwell.core.build import BuildRecord


@dataclass(frozen=True)
class Embedded:
    """What became of a batch of texts.

    Attributes:
        vectors: float32, shape (n, d), unit length where the space says so.
        n_tokens: int64, shape (n,); tokens of each text, special ones included, before any cut.
        n_truncated: How many texts were longer than the space's maximum and lost their end.
        build: What computed them.
    """

    vectors: npt.NDArray[np.float32]
    n_tokens: npt.NDArray[np.int64]
    n_truncated: int
    build: BuildRecord

    @property
    def artifact(self) -> str:
        """Name of what computed them, such as `all-MiniLM-L6-v2@q8`."""
        return self.build.artifact
