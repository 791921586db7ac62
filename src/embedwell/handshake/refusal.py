"""What a build that is not admitted is told."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict

import numpy as np

from embedwell.core.build import BuildRecord
from embedwell.core.errors import DriftError, EmbedwellError
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray, IntArray, normalized, unusable
from embedwell.handshake.drift import BOUNDS, WIDE, Drift
from embedwell.handshake.probes import embed_all
from embedwell.handshake.prove import Proof, embedded_text, sample
from embedwell.runtime.protocol import TextEmbedder
from embedwell.stores.protocol import Store
from embedwell.stores.spaces import EVERYTHING, StoredSpace

_SAMPLE = 1000
_QUERIES = 24
_TOP = 10
_SHOWN = 60


def refusal(
    store: Store, number: int, embedder: TextEmbedder, proof: Proof, *, target: str, watch: Watch
) -> DriftError:
    """The error for a build that drifts too far.

    Args:
        store: Which store.
        number: Which of its spaces.
        embedder: Who was refused; asked again for an estimate of what it would have done.
        proof: What was measured.
        target: Where the store is, for people.
        watch: May stop it.
    """
    overlap = None
    with suppress(EmbedwellError):  # the reason stands without it
        overlap = estimated_overlap(store, number, embedder, watch)
    stored = store.spaces.get(number)
    others = _others(store, number, proof)
    writer = proof.written_by or stored.made_by or "an older version"
    problem = (
        f"{target} holds vectors of {stored.space.model} (space {number}, "
        f"{stored.space.id[:12]}) written by {writer}, and {proof.build} gives others: "
        f"{told(proof)}.{_consequence(overlap)}"
    )
    details = {
        "target": target,
        "space": number,
        "space_id": stored.space.id,
        "written_by": proof.written_by and build_json(proof.written_by),
        "made_by": stored.made_by,
        "asked_by": build_json(proof.build),
        "measured_on": proof.against,
        "drift": drift_json(proof.drift),
        "bounds": asdict(BOUNDS),
        "worst_text": proof.worst_text,
        "overlap_at_10": overlap,
        "admitted": [build_json(build) for build in others],
    }
    return DriftError(problem, _remedy(proof, others, _anew(store, stored, proof)), details)


def estimated_overlap(
    store: Store, number: int, embedder: TextEmbedder, watch: Watch
) -> float | None:
    """Share of the top 10 that would stay, over a sample of the store.

    Some stored chunks are embedded again, and what is nearest to them among at most 1,000 is
    compared with what is nearest to their stored vectors.

    Returns:
        0 to 1; None where the store holds too little to tell, or the vectors are unusable.
    """
    vectors, chunks = sample(store, number, _SAMPLE)
    if len(chunks) <= 2 * _TOP:
        return None
    rows = normalized(vectors)
    chosen = np.unique(np.linspace(0, len(chunks) - 1, _QUERIES).astype(np.int64))
    texts = [embedded_text(chunks[at]) for at in chosen]
    asked = embed_all(texts, "document", embedder, watch).vectors
    if unusable(asked).any():
        return None
    before, after = _top(rows[chosen], rows, chosen), _top(normalized(asked), rows, chosen)
    shared = [len(set(a) & set(b)) for a, b in zip(before, after, strict=True)]
    return float(np.mean(shared)) / _TOP


def told(proof: Proof) -> str:
    """What was measured, as part of a sentence."""
    drift, what = proof.drift, "probe texts" if proof.against == "probes" else "stored chunks"
    shown = " ".join(proof.worst_text.split())
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    if drift.unusable:
        return f"{drift.unusable} of its vectors are NaN, infinite or zero, such as for '{shown}'"
    parts = [
        f"{drift.mean:.3g} on average (at most {BOUNDS.mean} is admitted)",
        f"{drift.worst:.3g} at worst ({BOUNDS.worst})",
    ]
    if drift.scatter > BOUNDS.scatter:
        parts.append(f"scores scatter by {drift.scatter:.3g} ({BOUNDS.scatter})")
    if drift.odd_worst > BOUNDS.odd_worst:
        parts.append(f"{drift.odd_worst:.3g} on odd texts ({BOUNDS.odd_worst})")
    return f"drift on the {what} is {', '.join(parts)}; worst for '{shown}'"


def drift_json(drift: Drift) -> dict[str, object]:
    """As JSON has it: null for what could not be measured."""
    found: dict[str, object] = {
        name: None if drift.unusable else round(getattr(drift, name), 6) for name in asdict(BOUNDS)
    }
    return found | {"unusable": drift.unusable}


def _top(queries: FloatArray, rows: FloatArray, own: IntArray) -> list[list[int]]:
    scores = queries @ rows.T
    scores[np.arange(len(own)), own] = -np.inf  # a chunk is always its own nearest
    found: list[list[int]] = np.argsort(-scores, axis=1, kind="stable")[:, :_TOP].tolist()
    return found


def _consequence(overlap: float | None) -> str:
    if overlap is None:
        return ""
    return f" Of the 10 best results, about {_TOP * (1 - overlap):.1f} would be others."


def _others(store: Store, number: int, proof: Proof) -> list[BuildRecord]:
    """Who was admitted before, one for each artifact and engine."""
    builds = [admission.build for admission in store.spaces.admissions(number)]
    if proof.written_by is not None:
        builds = [proof.written_by, *builds]
    found = {
        (build.artifact, build.engine): build
        for build in reversed(builds)
        if build.key != proof.build.key
    }
    return list(reversed(found.values()))


def _anew(store: Store, stored: StoredSpace, proof: Proof) -> str:
    """How the space gets the vectors of the build that was refused."""
    name = proof.build.artifact
    if stored.role not in {"main", "code"}:
        return f"give its vectors up (`embedwell migrate --drop {stored.role}`)"
    if not stored.is_of_code:
        return f"embed the index anew (`embedwell migrate --to {name}`)"
    hybrid = " --hybrid" if store.spaces.main().holds == EVERYTHING else ""
    return f"embed its code anew (`embedwell migrate --code {name}{hybrid}`)"


def _remedy(proof: Proof, others: list[BuildRecord], anew: str) -> str:
    ways = []
    here, name = proof.build, proof.build.artifact
    is_served = here.engine == "http"
    levels = [] if is_served else sorted({b.quantization for b in others} - {here.quantization, ""})
    engines = sorted({b.engine for b in others if _model(b) == _model(here)} - {here.engine})
    if is_served:
        ways.append(f"let the server at {here.host} serve what wrote them")
    if levels:
        ways.append(f"use what was admitted (`--quantization {levels[-1]}`)")
    if engines:
        ways.append(f"use the engine that was admitted (`engine = {engines[0]}`)")
    if not is_served and any(build.host != here.host for build in others):
        ways.append("use the service of a machine where that runs")
    ways.append(anew)
    if proof.drift.within(WIDE):
        ways.append(f"accept worse results (`accept_drift = {name}`)")
    listed = ways[0] if len(ways) == 1 else f"{'; '.join(ways[:-1])}; or {ways[-1]}"
    return f"{listed[0].upper()}{listed[1:]}."


def _model(build: BuildRecord) -> str:
    """The model's name, whatever its bits per weight."""
    return build.artifact.partition("@")[0]


def build_json(build: BuildRecord) -> dict[str, object]:
    """Who computed, as JSON has it."""
    return {
        "artifact": build.artifact,
        "engine": build.engine,
        "engine_version": build.engine_version,
        "native": build.native,
        "cpu": list(build.cpu),
        "host": build.host,
        "key": build.key,
    }
