"""Look at what a run has stored: samples, so that it takes seconds however much there is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray, IntArray, normalized, unusable
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.handshake.drift import BOUNDS, Drift, measure_texts, spread
from embedwell.handshake.probes import PROBES, embed_all
from embedwell.handshake.prove import embedded_text
from embedwell.jobs.finding import finds
from embedwell.jobs.work.canary.rules import Health, Progressed, Retrieved, Seen
from embedwell.jobs.work.canary.windows import Sample, Window, flat, last_quarter, look, windows
from embedwell.stores.protocol import Filter, FoundChunk, Store
from embedwell.stores.queue import Run, Which
from embedwell.stores.vectors import spread as spread_out

_N_DOCUMENTS = 1000
_N_SEARCHED, _N_NEW = 100, 80  # most of them from what was written since the last check
_SEARCH_S, _N_LEAST = 10.0, 10  # where the index is away in a bulk load, or slow
_EXAMPLES, _LOOKED_AT = 3, 100


@dataclass(frozen=True)
class Look:
    """What was seen, and what the next check goes on from.

    Attributes:
        seen: What is judged.
        windows: The documents part by part, for people.
        rows: All rows of the run that are through.
        first: Id of the last chunk before the run.
        last: Id of the newest chunk.
    """

    seen: Seen
    windows: Sequence[Window]
    rows: Progressed
    first: int
    last: int


@dataclass(frozen=True)
class _Passages:
    """Stored passages with their vectors, unusable ones too: float32, shape (n, d)."""

    chunks: Sequence[FoundChunk]
    vectors: FloatArray


def look_at(store: Store, run: Run, embedder: AdmittedEmbedder, drift: Drift, watch: Watch) -> Look:
    """Measure what was written since the last check, and a little of what was before.

    Args:
        store: Owned by this thread.
        run: The run that is checked.
        embedder: The reader.
        drift: The reader's, on the probes.
        watch: May stop it.
    """
    number = embedder.number
    ends = store.spaces.sample(number, 2)
    last = int(ends[-1]) if len(ends) else 0
    first = int(run.report.get("first_chunk", max(last - run.n_chunks, 0)))
    begin = int(run.report.get("last_chunk", first))
    rows = Progressed(run.n_done, run.n_empty, run.n_failed)
    since = rows.since(Progressed(**run.report.get("rows", {})))
    documents = _read(
        store, number, store.spaces.sample_documents(number, _N_DOCUMENTS, after=begin)
    )
    scale, probes = _of_reference(store, number)
    sample = _usable(documents)
    searched = _searched(store, number, first, begin)
    health = _health((documents, searched), sample, probes)
    seen = Seen(
        whole=look(sample, scale),
        last=last_quarter(sample, scale),
        health=health,
        retrieved=Retrieved(0, 0)
        if health.n_unusable  # that is enough, and no index has to bear it
        else _retrieve(store, embedder, searched, scale, watch),
        rows=since,
        is_wide=not drift.within(BOUNDS),
        failed=tuple(
            one.item.key
            for one in store.queue.entries(Which("", run.number, ("failed",)), _EXAMPLES)
        ),
        empty=_empty_ones(store, run) if since.n_empty else (),
    )
    return Look(seen, windows(sample, scale), rows, first, last)


def joined(looks: Sequence[Look]) -> Look | None:
    """What was seen of all spaces, for the report: of the one where most documents were looked at.

    The next check goes on from the newest chunk of any of them.
    """
    if not looks:
        return None
    most = max(looks, key=lambda look: look.seen.whole.n)
    first, last = min(look.first for look in looks), max(look.last for look in looks)
    return replace(most, first=first, last=last)


def worst(drifts: Sequence[Drift]) -> Drift | None:
    """The largest drift of several spaces."""
    return max(drifts, key=lambda drift: drift.worst, default=None)


def _read(store: Store, number: int, ids: IntArray) -> _Passages:
    with store.snapshot():
        chunks = store.chunks(ids.tolist())  # what was deleted meanwhile is left out
        vectors = store.spaces.vectors(number, np.array([one.id for one in chunks], np.int64))
    return _Passages(chunks, vectors)


def _usable(passages: _Passages) -> Sample:
    good = np.flatnonzero(~unusable(passages.vectors))
    chunks = [passages.chunks[at] for at in good.tolist()]
    texts = [embedded_text(one) for one in chunks]
    return Sample([one.key for one in chunks], texts, passages.vectors[good])


def _of_reference(store: Store, number: int) -> tuple[float, FloatArray]:
    """The scale of drift, and the vectors of the probes; whoever writes has left them."""
    reference = store.spaces.reference(number)
    assert reference is not None  # noqa: S101 - the handshake comes before the first write
    natural = reference.vectors[[not probe.is_odd for probe in PROBES]]
    return spread(natural), reference.vectors


def _searched(store: Store, number: int, first: int, begin: int) -> _Passages:
    """Passages of the run, most of them from since the last check."""
    n_new = _N_SEARCHED if begin <= first else _N_NEW
    ids = store.spaces.sample(number, n_new, after=begin)
    if n_new < _N_SEARCHED:  # a check comes after ten times as many documents as the one before
        wide = store.spaces.sample(number, 10 * (_N_SEARCHED - n_new), after=first)
        ids = np.union1d(ids, spread_out(wide[wide <= begin], _N_SEARCHED - n_new))
    return _read(store, number, ids)


def _health(looked_at: Sequence[_Passages], sample: Sample, probes: FloatArray) -> Health:
    bad = [
        one.key
        for passages in looked_at
        for one, is_bad in zip(passages.chunks, unusable(passages.vectors), strict=True)
        if is_bad
    ]
    is_flat = float((flat(sample.vectors) & ~flat(probes)).mean()) if len(sample.keys) > 1 else 0.0
    n = sum(len(passages.chunks) for passages in looked_at)
    return Health(n, len(bad), is_flat, tuple(dict.fromkeys(bad))[:_EXAMPLES])


def _retrieve(
    store: Store, embedder: AdmittedEmbedder, passages: _Passages, scale: float, watch: Watch
) -> Retrieved:
    """Embed passages anew and search for each with the store's own index."""
    good = np.flatnonzero(~unusable(passages.vectors))
    if not len(good):
        return Retrieved(0, 0)
    chunks = [passages.chunks[at] for at in good.tolist()]
    asked = embed_all([embedded_text(one) for one in chunks], "document", embedder.unproven, watch)
    drift = measure_texts(passages.vectors[good], asked.vectors, scale)
    worst = chunks[drift.worst_probe].key
    if drift.unusable:
        return Retrieved(len(chunks), 0, drift, worst)
    n, unfound, until = 0, [], time.monotonic() + _SEARCH_S
    vectors = normalized(asked.vectors)
    for at in np.random.default_rng(0).permutation(len(chunks)).tolist():
        watch.check("check")
        if n >= _N_LEAST and time.monotonic() > until:
            break
        is_found = finds(store, embedder.number, chunks[at], vectors[at], Filter())
        if is_found is None:
            continue
        n += 1
        if not is_found:
            unfound.append(chunks[at].key)
    return Retrieved(n, n - len(unfound), drift, worst, tuple(unfound[:_EXAMPLES]))


def _empty_ones(store: Store, run: Run) -> tuple[str, ...]:
    """Keys of some documents without chunks, among the first of the run."""
    entries = store.queue.entries(Which("", run.number, ("done",)), _LOOKED_AT)
    keys = (one.item.key for one in entries)
    return tuple(key for key in keys if not store.passages(key))[:_EXAMPLES]
