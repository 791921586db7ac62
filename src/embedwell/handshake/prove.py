"""Measure what an embedder computes with against what a space of a store holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from embedwell.chunking.titles import titled
from embedwell.core.build import BuildRecord
from embedwell.core.errors import BadVectorError, NewerStoreError, StoreError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray, normalized, unusable
from embedwell.handshake.drift import (
    BETWEEN_ADMITTED,
    BOUNDS,
    Drift,
    measure,
    measure_texts,
    nonsense,
    spread,
)
from embedwell.handshake.probes import (
    NAME,
    PROBES,
    embed_all,
    embed_probes,
    embed_with_probes,
)
from embedwell.runtime.protocol import TextEmbedder
from embedwell.stores.protocol import FoundChunk, Store
from embedwell.stores.spaces import Reference

N_CHUNKS = 16
"""Stored chunks that are embedded again where an index has vectors and no proof."""

_N_AGAIN = 64

NO_DRIFT = Drift(0.0, 0.0, 0, 0.0, 0.0, 0, 0)


@dataclass(frozen=True)
class Proof:
    """What a measurement found.

    Attributes:
        build: Who was measured.
        vectors: What it made of the probes: float32, shape (len(PROBES), d).
        drift: How far from what is stored.
        against: The first writer's probe vectors; else a sample of the stored chunks; else
            nothing, as there are no vectors yet.
        worst_text: The text that is furthest beyond its bound; empty against nothing.
        scale: What 1 - cosine is divided by to be drift.
        written_by: The first writer's build, where it is known.
    """

    build: BuildRecord
    vectors: FloatArray
    drift: Drift
    against: Literal["probes", "chunks", "nothing"]
    worst_text: str
    scale: float
    written_by: BuildRecord | None = None

    @property
    def reference(self) -> Reference:
        """What later builds are measured against, if this one is the first."""
        return Reference(NAME, self.vectors, self.build)


def prove(store: Store, number: int, embedder: TextEmbedder, watch: Watch) -> Proof:
    """Embed the probes and measure them; writes nothing and refuses nobody.

    Args:
        store: Owned by this thread.
        number: The space.
        embedder: Whose present build is measured.
        watch: May stop it.

    Raises:
        BadVectorError: The store has no proof yet, and the vectors cannot be right.
        NewerStoreError: The index was proven with texts of a newer version.
        SpaceMovedError: The store has no such space any more.
        EmbedwellError: The embedder could not embed.
    """
    reference = store.spaces.reference(number)
    if reference is not None:
        return against(reference, *embed_probes(embedder, watch))
    stored, chunks = sample(store, number, N_CHUNKS)
    texts = [embedded_text(chunk) for chunk in chunks]
    build, vectors, asked = embed_with_probes(texts, embedder, watch)
    check_sense(build, vectors)
    scale = _scale(vectors)
    if not texts:
        return Proof(build, vectors, NO_DRIFT, "nothing", "", scale)
    drift = measure_texts(stored, asked, scale)
    return Proof(build, vectors, drift, "chunks", texts[drift.blamed_probe], scale)


def agreeing(
    store: Store, number: int, embedder: TextEmbedder, scale: float, watch: Watch
) -> tuple[Drift, float, str] | None:
    """Embed stored chunks anew, as vectors of the probes may be remembered rather than computed.

    Args:
        store: Owned by this thread.
        number: The space.
        embedder: Whose present build is measured.
        scale: What 1 - cosine is divided by to be drift.
        watch: May stop it.

    Returns:
        Their drift, the share that is where two admitted builds may be, and the worst text; None
        where nothing is stored.
    """
    stored, chunks = sample(store, number, _N_AGAIN)
    if not chunks:
        return None
    texts = [embedded_text(chunk) for chunk in chunks]
    asked = embed_all(texts, "document", embedder, watch).vectors
    drift = measure_texts(stored, asked, scale)
    if drift.unusable:
        return drift, 0.0, texts[drift.worst_probe]
    cosines = np.einsum("nd,nd->n", normalized(stored), normalized(asked))
    agree = (1 - cosines) / scale <= BETWEEN_ADMITTED * BOUNDS.odd_worst
    return drift, float(agree.mean()), texts[drift.worst_probe]


def against(reference: Reference, build: BuildRecord, vectors: FloatArray) -> Proof:
    """Measure vectors of the probes against those of the first writer.

    Raises:
        NewerStoreError: They are of other texts.
        StoreError: The stored ones are damaged.
    """
    check_reference(reference, vectors.shape[1])
    stored = reference.vectors
    drift = measure(stored, vectors, PROBES)
    worst = PROBES[drift.blamed_probe].text
    return Proof(build, vectors, drift, "probes", worst, _scale(stored), reference.build)


def check_sense(build: BuildRecord, vectors: FloatArray) -> None:
    """Refuse a first writer's vectors of the probes, float32 of shape (len(PROBES), d).

    Raises:
        BadVectorError: They cannot be right.
    """
    if fault := nonsense(vectors, PROBES):
        raise BadVectorError(
            f"The vectors of {build} cannot be right: {fault}.",
            "Run `embedwell doctor`: the artifact or the engine is broken.",
        )


def check_reference(reference: Reference, dimensions: int) -> None:
    """Refuse a reference that nothing can be measured against.

    Raises:
        NewerStoreError: It is of other texts.
        StoreError: It is damaged.
    """
    if reference.probes != NAME:
        raise NewerStoreError(
            f"The index was proven with the probe texts '{reference.probes}', which this version "
            "does not know.",
            "Update embedwell.",
        )
    vectors, shape = reference.vectors, (len(PROBES), dimensions)
    if vectors.shape != shape or unusable(vectors).any():
        raise StoreError(
            f"The index's own probe vectors are damaged: shape {vectors.shape}, expected {shape} "
            "with finite values.",
            "Restore a backup, or index again into another file.",
        )


def sample(store: Store, number: int, n: int) -> tuple[FloatArray, list[FoundChunk]]:
    """At most n chunks with a usable vector, spread over the store.

    Returns:
        float32, shape (m, d), and the m chunks.
    """
    with store.snapshot():
        ids = store.spaces.sample(number, n)
        vectors = store.spaces.vectors(number, ids)
        good = ~unusable(vectors)
        return vectors[good], store.chunks(ids[good].tolist())


def embedded_text(found: FoundChunk) -> str:
    """Exactly what was embedded of a chunk."""
    return titled(found.chunk.title, found.chunk.text)


def _scale(vectors: FloatArray) -> float:
    return spread(vectors[[not probe.is_odd for probe in PROBES]])
