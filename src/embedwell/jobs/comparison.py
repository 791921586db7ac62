"""What a comparison of an embedder with a store found, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from embedwell.core.build import BuildRecord
from embedwell.core.vectors import FloatArray
from embedwell.handshake.drift import BETWEEN_ADMITTED, BOUNDS, Drift
from embedwell.handshake.refusal import build_json, drift_json
from embedwell.stores.protocol import FoundChunk
from embedwell.stores.spaces import StoredSpace

THRESHOLDS = (0.3, 0.5, 0.7, 0.9)
"""Distances under which stored vectors are counted."""

# A query farther from everything than this is about something else, as far as anyone can tell.
_FAR = 0.7


@dataclass(frozen=True)
class Distances:
    """1 - cosine of the query's vector to the stored ones that were looked at.

    Attributes:
        least: To the nearest.
        most: To the farthest.
        average: To all.
        under: How many are nearer than each of `THRESHOLDS`.
        nearest: The nearest chunk; None where it has gone meanwhile.
        query_vector: float32, shape (d,).
        nearest_vector: As it is stored: float32, shape (d,).
    """

    least: float
    most: float
    average: float
    under: Mapping[float, int]
    nearest: FoundChunk | None
    query_vector: FloatArray
    nearest_vector: FloatArray


@dataclass(frozen=True)
class Health:
    """The stored vectors.

    Attributes:
        n_vectors: How many were looked at.
        n_null: Chunks of the store without a vector.
        n_zero: All-zero vectors.
        n_nan: Vectors with a NaN or infinite value, or of another length.
    """

    n_vectors: int
    n_null: int
    n_zero: int
    n_nan: int


@dataclass(frozen=True)
class Again:
    """Stored chunks that were embedded again.

    Attributes:
        n: How many.
        mean: Mean of 1 - cosine between the new vector and the stored one; NaN if unusable.
        worst: The largest; NaN if unusable.
        chunk: The chunk that it belongs to.
        drift: The same on the scale of drift.
    """

    n: int
    mean: float
    worst: float
    chunk: FoundChunk
    drift: Drift


@dataclass(frozen=True)
class Comparison:
    """What an embedder computes beside what a store holds.

    Attributes:
        query: What was asked; empty for none.
        stored: The space.
        build: Who embedded; None where nothing of it was usable.
        written_by: The first writer's build, where it is known.
        health: The stored vectors.
        distances: Of the query; None without a query or without usable vectors.
        again: The chunks that were embedded again; None without any.
        drift: Of the handshake; None where there was nothing to measure against.
        faults: What is wrong, a sentence each.
        verdict: All that in a few sentences.
    """

    query: str
    stored: StoredSpace
    build: BuildRecord | None
    written_by: BuildRecord | None
    health: Health
    distances: Distances | None
    again: Again | None
    drift: Drift | None
    faults: tuple[str, ...]
    verdict: str

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def health_faults(health: Health) -> list[str]:
    """What is wrong with stored vectors, a sentence each."""
    counted = {
        f"{health.n_null} passages have no vector": health.n_null,
        f"{health.n_zero} of {health.n_vectors} stored vectors are all zero": health.n_zero,
        f"{health.n_nan} of {health.n_vectors} stored vectors are NaN, infinite or of another "
        "length": health.n_nan,
    }
    return [f"{told}, so search cannot find them by meaning." for told, n in counted.items() if n]


def again_faults(again: Again | None) -> list[str]:
    """What is wrong with chunks that were embedded again, a sentence each."""
    if again is None:
        return []
    if again.drift.unusable:
        return [f"{again.drift.unusable} of {again.n} passages embedded again gave no vector."]
    most_mean = BETWEEN_ADMITTED * BOUNDS.mean
    most_worst = BETWEEN_ADMITTED * BOUNDS.odd_worst
    if again.drift.mean <= most_mean and again.drift.worst <= most_worst:
        return []
    told = (
        f"Passages embedded again are not where their stored vectors are: drift "
        f"{again.drift.mean:.3g} on average (up to {most_mean:.3g} may be), "
        f"{again.drift.worst:.3g} at worst ({most_worst:.3g}), at {place(again.chunk)}: "
        "something else wrote them."
    )
    return [told]


def verdict(faults: tuple[str, ...], again: Again | None, distances: Distances | None) -> str:
    """A few sentences. A query far from everything is normal, and is said to be."""
    if faults:
        return " ".join(faults)
    if again is None:
        return "The index holds no vectors yet: there is nothing to compare with."
    agree = (
        f"The index and the model agree: {again.n} passages embedded again lie "
        f"{again.mean:.2g} from their stored vectors, {again.worst:.2g} at most."
    )
    if distances is None:
        return agree
    near = "its nearest passage lies" if distances.least <= _FAR else "no passage is near it:"
    far = (
        f"The query is answered as it should be; {near} at {distances.least:.2f}. Distances of "
        "0.7 to 1.1 between texts about different things are normal."
    )
    return f"{agree} {far}"


def place(found: FoundChunk) -> str:
    """Where a chunk is, for people."""
    return f"{found.key}:{found.chunk.start_line}"


def as_json(found: Comparison, code: Comparison | None = None) -> dict[str, object]:
    """A comparison without its vectors, as JSON has it.

    Args:
        found: Of the main space.
        code: Of the code space of a pair; it comes under `code`, and `ok` is of both.
    """
    told: dict[str, object] = {
        "ok": found.ok,
        "verdict": found.verdict,
        "faults": list(found.faults),
        "query": found.query,
        "space": {
            "number": found.stored.number,
            "id": found.stored.space.id,
            "model": found.stored.space.model,
            "dimensions": found.stored.space.dimensions,
            "made_by": found.stored.made_by,
        },
        "written_by": found.written_by and build_json(found.written_by),
        "asked_by": found.build and build_json(found.build),
        "drift": found.drift and drift_json(found.drift),
        "vectors": {
            "looked_at": found.health.n_vectors,
            "null": found.health.n_null,
            "zero": found.health.n_zero,
            "nan": found.health.n_nan,
        },
        "distances": found.distances and _distances_json(found.distances),
        "embedded_again": found.again and _again_json(found.again),
    }
    if code is None:
        return told
    return told | {"ok": found.ok and code.ok, "code": as_json(code)}


def as_debug_json(found: Comparison, took_ms: float) -> dict[str, object]:
    """The shape that tools for `/api/v3/debug/compare-rag-embedding` read.

    `stored_embedding` is the nearest one; `distance` is between it and `backend_embedding`.
    """
    near = found.distances
    under = {f"count_threshold_{at}": near.under[at] if near else 0 for at in THRESHOLDS}
    return {
        "success": near is not None,
        "query": found.query,
        "backend_embedding_dims": len(near.query_vector) if near else 0,
        "processing_time_ms": round(took_ms, 3),
        "comparison_stats": {
            "total_docs": found.health.n_vectors,
            "distance_min": near and near.least,
            "distance_max": near and near.most,
            "distance_avg": near and near.average,
            **under,
        },
        "distance": near and near.least,
        "backend_embedding": near.query_vector.tolist() if near else [],
        "stored_embedding": near.nearest_vector.tolist() if near else [],
    }


def _distances_json(distances: Distances) -> dict[str, object]:
    return {
        "min": distances.least,
        "max": distances.most,
        "average": distances.average,
        "under": {str(at): distances.under[at] for at in THRESHOLDS},
        "nearest": distances.nearest and place(distances.nearest),
    }


def _again_json(again: Again) -> dict[str, object]:
    usable = not again.drift.unusable
    return {
        "n": again.n,
        "mean": again.mean if usable else None,
        "worst": again.worst if usable else None,
        "worst_chunk": place(again.chunk),
        "drift": drift_json(again.drift),
    }
