"""Compare what an embedder computes now with what a store holds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from embedwell.core.errors import BadVectorError, EmbedwellError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray, IntArray, normalized, unusable
from embedwell.handshake.admit import AdmittedEmbedder, check_declaration
from embedwell.handshake.drift import BOUNDS, measure_texts
from embedwell.handshake.probes import embed_all
from embedwell.handshake.prove import check_reference, embedded_text, prove, sample
from embedwell.handshake.refusal import told
from embedwell.jobs.comparison import (
    THRESHOLDS,
    Again,
    Comparison,
    Distances,
    Health,
    again_faults,
    as_debug_json,
    as_json,
    health_faults,
    verdict,
)
from embedwell.runtime.protocol import TextEmbedder
from embedwell.stores.protocol import Store

__all__ = ["Comparison", "as_debug_json", "as_json", "check_vectors_of", "compare"]

_LOOKED_AT = 50_000
_BATCH = 4096
_SAMPLE = 32


def compare(
    store: Store,
    number: int,
    embedder: TextEmbedder,
    query: str = "",
    n_sample: int = _SAMPLE,
    *,
    watch: Watch | None = None,
) -> Comparison:
    """Embed a query and a sample of stored chunks, and measure both; writes nothing.

    An embedder that is not admitted is compared too.

    Args:
        store: Owned by this thread.
        number: The space.
        embedder: Of that space; of an `AdmittedEmbedder` what it wraps.
        query: Whose distances are told; none if empty.
        n_sample: How many stored chunks are embedded again, at most.
        watch: May stop it.

    Raises:
        SpaceMismatchError: The embedder is of another space.
        SpaceMovedError: The store has no such space any more.
        EmbedwellError: Nothing could be embedded at all, or the store could not be read.
    """
    watch = watch or Watch()
    if isinstance(embedder, AdmittedEmbedder):
        embedder = embedder.unproven
    stored = store.spaces.get(number)
    check_declaration(stored, embedder.space)
    try:
        proof = prove(store, number, embedder, watch)
    except BadVectorError as error:  # no vector of it is worth measuring
        health, _ = _look(store, number, None, watch)
        faults = (error.problem, *health_faults(health))
        told_all = verdict(faults, None, None)
        return Comparison(query, stored, None, None, health, None, None, None, faults, told_all)
    vector = _embedded(query, embedder, watch) if query.strip() else None
    health, distances = _look(store, number, vector, watch)
    again = _again(store, number, embedder, n_sample, scale=proof.scale, watch=watch)
    own = [] if proof.drift.within(BOUNDS) else [f"{proof.build} is not fit for it: {told(proof)}."]
    faults = (*own, *health_faults(health), *again_faults(again))
    return Comparison(
        query=query,
        stored=stored,
        build=proof.build,
        written_by=proof.written_by,
        health=health,
        distances=distances,
        again=again,
        drift=None if proof.against == "nothing" else proof.drift,
        faults=faults,
        verdict=verdict(faults, again, distances),
    )


def check_vectors_of(store: Store, number: int, embedder: TextEmbedder | None = None) -> list[str]:
    """What is wrong with the proof of a space, a sentence each; empty where it is sound.

    The vectors themselves are looked at by `Store.check`.

    Args:
        store: Owned by this thread.
        number: The space.
        embedder: Embeds a sample of the chunks again; only the stored proof is looked at without.
    """
    reference = store.spaces.reference(number)
    if embedder is not None:
        return list(compare(store, number, embedder).faults)
    if reference is None:
        return []
    try:
        check_reference(reference, store.spaces.get(number).space.dimensions)
    except EmbedwellError as error:
        return [error.problem]
    return []


@dataclass
class _Tally:
    """Sums over batches of stored vectors."""

    n: int = 0
    n_zero: int = 0
    n_nan: int = 0
    n_used: int = 0
    total: float = 0.0
    least: float = np.inf
    most: float = -np.inf
    nearest: int = -1
    under: dict[float, int] = field(default_factory=lambda: dict.fromkeys(THRESHOLDS, 0))

    def add(self, ids: IntArray, vectors: FloatArray, query: FloatArray | None) -> None:
        bad = unusable(vectors)
        nan = int((~np.isfinite(vectors).all(axis=1)).sum())
        self.n += len(ids)
        self.n_nan += nan
        self.n_zero += int(bad.sum()) - nan
        if query is None or bad.all():
            return
        distances = 1 - normalized(vectors[~bad]) @ query
        self.n_used += len(distances)
        self.total += float(distances.sum(dtype=np.float64))
        self.most = max(self.most, float(distances.max()))
        for at in THRESHOLDS:
            self.under[at] += int((distances < at).sum())
        if distances.min() < self.least:
            self.least, self.nearest = float(distances.min()), int(ids[~bad][distances.argmin()])


def _look(
    store: Store, number: int, query: FloatArray | None, watch: Watch
) -> tuple[Health, Distances | None]:
    """Look at stored vectors, all of them up to a bound, and measure the query's distances."""
    tally = _Tally()
    ids = store.spaces.sample(number, _LOOKED_AT)
    for begin in range(0, len(ids), _BATCH):
        watch.progress("compare", begin, len(ids), "chunks")
        batch = ids[begin : begin + _BATCH]
        tally.add(batch, store.spaces.vectors(number, batch), query)
    health = Health(tally.n, store.spaces.n_missing(number), tally.n_zero, tally.n_nan)
    if query is None or not tally.n_used:
        return health, None
    nearest = np.array([tally.nearest], np.int64)
    return health, Distances(
        least=tally.least,
        most=tally.most,
        average=tally.total / tally.n_used,
        under=tally.under,
        nearest=next(iter(store.chunks(nearest.tolist())), None),
        query_vector=query,
        nearest_vector=store.spaces.vectors(number, nearest)[0],
    )


def _embedded(query: str, embedder: TextEmbedder, watch: Watch) -> FloatArray | None:
    """The query's unit vector: float32, shape (d,); None where it is unusable."""
    vectors = embed_all([query], "query", embedder, watch).vectors
    return None if unusable(vectors).any() else normalized(vectors)[0]


def _again(
    store: Store, number: int, embedder: TextEmbedder, n: int, *, scale: float, watch: Watch
) -> Again | None:
    """Embed some chunks again and measure them against their stored vectors."""
    vectors, chunks = sample(store, number, n)
    if not chunks:
        return None
    asked = embed_all([embedded_text(one) for one in chunks], "document", embedder, watch)
    drift = measure_texts(vectors, asked.vectors, scale)
    mean, worst = drift.mean * scale, drift.worst * scale
    return Again(len(chunks), mean, worst, chunks[drift.worst_probe], drift)
