"""The embedder that fills a column of an application: each build is measured before it writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from embedwell.core.errors import BadTextsError, DriftError, EngineError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray, normalized
from embedwell.handshake.drift import BOUNDS, WIDE
from embedwell.handshake.probes import NAME, embed_probes
from embedwell.handshake.prove import against, check_sense
from embedwell.handshake.refusal import told
from embedwell.runtime.protocol import TextEmbedder
from embedwell.stores.spaces import Reference

Refer = Callable[[Reference], Reference]
"""Keeps a reference where there is none yet, and gives the one that there is now."""

# A service that comes and goes makes a batch and its probes differ in their build; not for long.
_ATTEMPTS = 4


class ColumnEmbedder:
    """Gives vectors that may stand in one column. Belongs to one thread.

    Args:
        embedder: What embeds; owned from now on.
        reference: What the first writer's build made of the probes; None before the first vector.
        refer: Keeps the first one.
        accept_drift: Names of artifacts that are let in up to the wide bounds.
        place: Which column, for people.
    """

    def __init__(
        self,
        embedder: TextEmbedder,
        reference: Reference | None,
        refer: Refer,
        accept_drift: Sequence[str],
        place: str,
    ) -> None:
        self.embedder = embedder
        self._reference = reference
        self._refer = refer
        self._accept_drift = accept_drift
        self._place = place
        self._known: set[str] = set()

    def embed(self, texts: Sequence[str], watch: Watch) -> FloatArray:
        """Embed texts.

        Returns:
            float32, shape (n, d).

        Raises:
            BadTextsError: Some texts could not be embedded; the error holds the other vectors.
            BadVectorError: It would be the first to write, and its vectors cannot be right.
            DriftError: What computes is not fit for the column.
            EngineError: What computes keeps changing.
        """
        for _ in range(_ATTEMPTS):
            failed = None
            try:
                found = self.embedder.embed(texts, "document", watch)
            except BadTextsError as error:
                failed, found = error, error.embedded
            if not texts or found.build.key in self._known:
                if failed is not None:
                    raise failed
                is_unit = self.embedder.space.normalized and len(texts) > 0
                return normalized(found.vectors) if is_unit else found.vectors
            self._prove(watch)
        raise EngineError(
            f"What embeds for {self._place} changed {_ATTEMPTS} times in a row; now it is "
            f"{found.build}.",
            "Try again once the service stays up, or set `service` to `off`.",
        )

    def _prove(self, watch: Watch) -> None:
        build, vectors = embed_probes(self.embedder, watch)
        if self._reference is None:
            check_sense(build, vectors)
            self._reference = self._refer(Reference(NAME, vectors, build))
        proof = against(self._reference, build, vectors)
        is_accepted = build.artifact in self._accept_drift and proof.drift.within(WIDE)
        if not proof.drift.within(BOUNDS) and not is_accepted:
            raise DriftError(
                f"The new vectors of {self._place} were begun by {self._reference.build}, and "
                f"{build} gives others: {told(proof)}.",
                "Go on where that runs, at its quantization and engine; or give the vectors that "
                "there are up (`--drop next`) and begin again here.",
            )
        self._known.add(build.key)
