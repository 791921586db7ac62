"""Whether an embedder gives what an application stored: it kept no probes, but maybe texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedwell.core.build import BuildRecord
from embedwell.core.errors import DriftError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray, unusable
from embedwell.handshake.drift import BOUNDS, WIDE, Bounds, spread
from embedwell.handshake.probes import embed_all
from embedwell.runtime.protocol import TextEmbedder

N_TEXTS = 32
"""Rows that are embedded again: 0.1 s with a small model."""
LEAST = 0.75
"""Share of them that must agree: a text may have been changed after it was embedded."""


@dataclass(frozen=True)
class Agreement:
    """What embedding some texts again gave.

    Attributes:
        build: Who embedded them.
        drifts: How far each vector is from the stored one; see `handshake.drift`: shape (n,).
        worst_text: The text that is furthest.
    """

    build: BuildRecord
    drifts: FloatArray
    worst_text: str

    def share(self, bounds: Bounds) -> float:
        """The share of texts that agree; 0 where those drift too far on average."""
        agreeing = self.drifts[self.drifts <= bounds.worst]
        if not len(agreeing) or agreeing.mean() > bounds.mean:
            return 0.0
        return len(agreeing) / len(self.drifts)

    def __str__(self) -> str:
        """For people."""
        return (
            f"{self.build} embedded {len(self.drifts)} texts again: half of the vectors drift "
            f"by less than {np.median(self.drifts):.3f}, the worst by {self.drifts.max():.3f}"
        )


def agreement(
    stored: FloatArray, texts: Sequence[str], embedder: TextEmbedder, watch: Watch
) -> Agreement:
    """Embed stored texts again and measure how far the vectors are from those beside them.

    Args:
        stored: float32, shape (n >= 2, d), usable.
        texts: What they are of.
        embedder: Whose present build is measured.
        watch: May stop it.
    """
    asked = embed_all(list(texts), "document", embedder, watch)
    same = asked.vectors.shape == stored.shape
    bad = unusable(asked.vectors) if same else np.ones(len(texts), np.bool_)
    drifts = np.full(len(texts), np.inf, np.float32)
    if not bad.all():
        lengths = np.linalg.norm(asked.vectors[~bad], axis=1) * np.linalg.norm(stored[~bad], axis=1)
        cosines = np.einsum("nd,nd->n", asked.vectors[~bad], stored[~bad]) / lengths
        drifts[~bad] = np.maximum(1 - cosines, 0) / spread(stored)
    return Agreement(asked.build, drifts, texts[int(drifts.argmax())])


def check_agreement(found: Agreement, accept_drift: Sequence[str], place: str) -> None:
    """Refuse a build whose vectors are not what the application stored.

    Args:
        found: What was measured.
        accept_drift: Names of artifacts that are let in up to the wide bounds.
        place: Where the vectors are, for people.

    Raises:
        DriftError: Too many are too far.
    """
    bounds = WIDE if found.build.artifact in accept_drift else BOUNDS
    share = found.share(bounds)
    if share >= LEAST:
        return
    raise DriftError(
        f"The vectors of {place} are not what this model makes of their texts: {found}; "
        f"{share:.0%} agree, {LEAST:.0%} must (the worst text begins '{found.worst_text[:60]}').",
        "Name the model that made them with `model=`, and the column with exactly what was "
        "embedded (with its title or prefix, if it had one).",
    )
