"""Move a store to another space while it is searched and written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from embedwell.chunking.titles import titled
from embedwell.core.errors import MigrationError, StoreError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.core.vectors import FloatArray, IntArray, normalized
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.jobs.fill import fill_space
from embedwell.jobs.finding import finds
from embedwell.runtime.protocol import TextEmbedder
from embedwell.stores.protocol import ChunkKind, Filter, Store
from embedwell.stores.spaces import CODE_ALONE, EVERYTHING, TEXT_ALONE, Holds, StoredSpace

_ROUNDS = 1000
_TIMED = 64
_LOOKED_AT = 1_024  # for so many of one kind, where the space holds both
_CHECKED = 64
_DEPTH = 10
# A chunk asked for by its own text must come first or nearly so.
_MOST_LOST = 0.05
# Rows, the codes of the first pass and the pages around them, beside the vectors themselves.
_BYTES_A_ROW = 40


@dataclass(frozen=True)
class Plan:
    """What a migration would do.

    Attributes:
        from_model: Model of the space that is searched now.
        to_model: Model of the new one.
        to_artifact: What computes the new vectors here.
        dimensions: Lengths of the vectors, old and new.
        n_chunks: Chunks in the store.
        n_missing: Chunks that have no vector in the new space yet.
        chunks_per_s: Measured just now on a sample.
        seconds: Estimate for what is missing.
        bytes: Estimate of what the new space takes on disk.
        n_truncated: Chunks of the sample that are longer than the new model takes.
        n_sampled: Chunks of the sample.
        holds: Kinds of documents that the new space holds.
    """

    from_model: str
    to_model: str
    to_artifact: str
    dimensions: tuple[int, int]
    n_chunks: int
    n_missing: int
    chunks_per_s: float
    seconds: float
    bytes: int
    n_truncated: int
    n_sampled: int
    holds: Holds = EVERYTHING


@dataclass(frozen=True)
class Validation:
    """What was looked at before the switch.

    Attributes:
        n_checked: Chunks whose own text was asked for.
        n_found: Those that were found by it in the new space, see `finds`.
        overlap: Share of the old space's first ten that the new one's has too, on average, among
            the kinds that both hold; two models differ, so this is told and not judged.
    """

    n_checked: int
    n_found: int
    overlap: float


@dataclass(frozen=True)
class MigrationReport:
    """What a migration did.

    Attributes:
        from_model: Model of the space that was searched before.
        to_model: Model of the new one.
        number: The new space's in the store.
        n_embedded: Chunks embedded in this run.
        validation: What was looked at before the switch.
        outcome: `switched`, or `kept beside`.
        took_s: Seconds.
        holds: Kinds of documents that the new space holds.
    """

    from_model: str
    to_model: str
    number: int
    n_embedded: int
    validation: Validation
    outcome: str
    took_s: float
    holds: Holds = EVERYTHING


def found_space(
    store: Store,
    space: Space,
    artifact: str,
    gives_others: Callable[[StoredSpace], bool] = lambda _: False,
    *,
    keep_both: bool = False,
    of_code: bool = False,
) -> StoredSpace | None:
    """What there is of the space that a migration would fill: begun, kept, or light.

    Args:
        store: What is migrated.
        space: The new space.
        artifact: Name of what is to compute it, such as `all-MiniLM-L6-v2@q8`.
        gives_others: Whether that computes other vectors now than a space of its name holds, as a
            server does that has another model under it: such a space is not the one.
        keep_both: Whether it is to be kept beside the main one.
        of_code: Whether it is to be the code space, instead of the main one.

    Raises:
        MigrationError: It is there already, or another migration or light space is in the way.
    """
    role = "light" if keep_both else "next"
    holds = CODE_ALONE if of_code else store.spaces.main().holds
    for stored in store.spaces.all():
        same = (
            (stored.space, stored.is_of_code) == (space, of_code)
            and set(holds) <= set(stored.holds)
            and is_made_by(stored, artifact)
        )
        if same and gives_others(stored):
            if stored.role == role:
                raise MigrationError(
                    f"The index has a '{role}' space of {artifact}, which gives other vectors now.",
                    f"Go on where it was begun, or drop it: `embedwell migrate --drop {role}`.",
                )
            continue
        if same and stored.role in {"main", "code"}:
            raise MigrationError(
                f"The index is in the space of {artifact} already.", "Name another model."
            )
        if same and (stored.role == role or not keep_both):
            return stored
        if stored.role == role:
            raise in_the_way(stored, store.spaces.main())
    return None


def in_the_way(stored: StoredSpace, main: StoredSpace) -> MigrationError:
    """Another space has the role that a new one would have.

    Args:
        stored: That one.
        main: The main one.
    """
    way = "--code" if stored.is_of_code else "--to"
    if main.holds == TEXT_ALONE and stored.holds == EVERYTHING and stored.role == "next":
        way = "--no-code` or `--hybrid"
    return MigrationError(
        f"A migration to {stored.made_by} was begun already."
        if stored.role == "next"
        else f"The index has a light space of {stored.made_by} already.",
        f"Finish it with the same `{way}`, or drop it: `embedwell migrate --drop {stored.role}`.",
    )


def plan(
    store: Store,
    space: Space,
    filled: StoredSpace | None,
    embedder: TextEmbedder,
    *,
    holds: Holds | None = None,
) -> Plan:
    """Look at what a migration would take; nothing is written.

    Args:
        store: What would be migrated.
        space: The new space.
        filled: What there is of it already.
        embedder: Of the new model.
        holds: Kinds of documents that the new space is to hold; those of the main one if left out.
    """
    main, code = store.spaces.main(), store.spaces.code()
    holds = holds or main.holds
    old = (code or main) if holds == CODE_ALONE else main
    kind = kind_of(holds)
    n_chunks = store.n_chunks(kind) if kind else store.counts().chunks
    texts = _sampled_texts(store, old.number, kind)
    embedder.embed(texts[:1], "document", Watch())  # loads what is loaded at first use
    began = time.perf_counter()
    embedded = embedder.embed(texts, "document", Watch())
    rate = len(texts) / max(time.perf_counter() - began, 1e-6) if texts else 0.0
    missing = store.spaces.n_missing(filled.number) if filled else n_chunks
    return Plan(
        from_model=old.space.model,
        to_model=space.model,
        to_artifact=embedded.artifact,
        dimensions=(old.space.dimensions, space.dimensions),
        n_chunks=n_chunks,
        n_missing=missing,
        chunks_per_s=rate,
        seconds=missing / rate if rate else 0.0,
        bytes=bytes_of(missing, space.dimensions),
        n_truncated=embedded.n_truncated,
        n_sampled=len(texts),
        holds=holds,
    )


def bytes_of(n_chunks: int, dimensions: int) -> int:
    """About how many bytes vectors take on disk, with their codes."""
    return n_chunks * (2 * dimensions + dimensions // 8 + _BYTES_A_ROW)


def migrate(
    store: Store,
    embedder: AdmittedEmbedder,
    watch: Watch,
    *,
    keep_old: bool = False,
    keep_both: bool = False,
    chunks_per_s: float = 0.0,
    copy_from: int | None = None,
) -> MigrationReport:
    """Fill a space, look whether it is good, and switch to it.

    Searches and writes go on meanwhile; what is written goes into the main space and is embedded
    for the new one in the next round. Stopped at any moment, it goes on when it is called again.

    Args:
        store: What is migrated.
        embedder: Of the space that is filled, see `found_space`.
        watch: Told of progress, asked to stop.
        keep_old: Whether the vectors of the old space stay, for `roll_back`.
        keep_both: Whether the new space is kept beside the main one instead of taking its place.
        chunks_per_s: Most chunks embedded in a second; 0 for as many as can be.
        copy_from: See `fill_space`.

    Raises:
        MigrationError: The new space is not good, or writes come faster than it is filled.
        DriftError: The embedder's build is not fit for the space.
        TaskCancelledError: `watch` was asked to stop; what was stored is kept.
    """
    began = time.perf_counter()
    stored = store.spaces.get(embedder.number)
    code = store.spaces.code() if stored.is_of_code else None
    before = code or store.spaces.main()
    is_split = store.spaces.main().holds == TEXT_ALONE
    n_embedded = fill_space(store, embedder, watch, chunks_per_s, copy_from=copy_from)
    validation = validate(store, before.number, embedder, watch)
    if validation.n_found < (1 - _MOST_LOST) * validation.n_checked:
        raise MigrationError(
            f"Only {validation.n_found} of {validation.n_checked} chunks are found by their own "
            f"text in the new space of {embedder.space.model}; nothing was switched.",
            "Run `embedwell doctor --deep`; give the migration up with `embedwell migrate "
            "--drop next`.",
        )
    if not keep_both:
        n_embedded += _switch(store, embedder, watch, keep_old=keep_old, copy_from=copy_from)
        if stored.role != "next":
            _narrow_again(store, is_split=is_split)
    return MigrationReport(
        from_model=before.space.model,
        to_model=embedder.space.model,
        number=embedder.number,
        n_embedded=n_embedded,
        validation=validation,
        outcome="kept beside" if keep_both else "switched",
        took_s=time.perf_counter() - began,
        holds=stored.holds,
    )


def validate(store: Store, old: int, embedder: AdmittedEmbedder, watch: Watch) -> Validation:
    """Ask for a sample of chunks by their own texts, in the new space and in the old one."""
    held = [store.spaces.get(number).holds for number in (embedder.number, old)]
    where = Filter(kind=kind_of(held[0]))
    shared = Filter(kind=kind_of(min(held, key=len)))
    ids = store.spaces.sample(embedder.number, _CHECKED)
    found = store.chunks(ids.tolist())
    texts = [titled(one.chunk.title, one.chunk.text) for one in found]
    asked = embedder.embed(texts, "document", Watch(cancelled=watch.cancelled)).vectors
    stored = store.spaces.vectors(old, np.array([one.id for one in found], np.int64))
    n_found, n_gone, overlaps = 0, 0, []
    for one, new, before in zip(found, asked, normalized(stored), strict=True):
        watch.check("migrate")
        is_found = finds(store, embedder.number, one, new, where)
        if is_found is None:
            n_gone += 1
            continue
        n_found += is_found
        if not np.isnan(before).any():  # the old space holds its kind, too
            now, then = _top(store, new, embedder.number, shared), _top(store, before, old, shared)
            overlaps.append(len(np.intersect1d(now, then)) / max(len(now), 1))
    return Validation(len(found) - n_gone, n_found, float(np.mean(overlaps)) if overlaps else 1.0)


def roll_back(store: Store) -> StoredSpace:
    """Go back to the space that a migration has kept, if it has all chunks.

    Returns:
        The space that is the main one now; the one that was stays as `kept`.

    Raises:
        MigrationError: None was kept, or chunks were written since.
    """
    kept = [stored for stored in store.spaces.all() if stored.role == "kept"]
    if not kept:
        raise MigrationError("No earlier space was kept.", "Migrate back with `--to MODEL`.")
    last = kept[-1]
    if missing := store.spaces.n_missing(last.number):
        raise MigrationError(
            f"{missing:,} chunks were written since and have no vector of {last.space.model}.",
            f"Run `embedwell migrate --to {last.space.model}`: only these are embedded.",
        )
    is_split = store.spaces.main().holds == TEXT_ALONE
    store.spaces.switch(last.number, keep=True)
    _narrow_again(store, is_split=is_split)
    return store.spaces.get(last.number)


def _switch(
    store: Store,
    embedder: AdmittedEmbedder,
    watch: Watch,
    *,
    keep_old: bool,
    copy_from: int | None,
) -> int:
    """Switch in a moment when nothing is missing; how many more chunks that took."""
    n_embedded = 0
    for _ in range(_ROUNDS):
        n_embedded += fill_space(store, embedder, watch, copy_from=copy_from)
        try:
            store.spaces.switch(embedder.number, keep=keep_old)
        except StoreError:
            if not store.spaces.n_missing(embedder.number):
                raise
        else:
            return n_embedded
    raise MigrationError(
        f"Chunks are written faster than they are embedded for {embedder.space.model}.",
        "Run the same again when less is written; what is embedded is kept.",
    )


def _narrow_again(store: Store, *, is_split: bool) -> None:
    """After a switch to a space of everything, such as a light one: a split pair stays one."""
    if is_split and store.spaces.main().holds == EVERYTHING:
        store.spaces.split()


def _sampled_texts(store: Store, number: int, kind: ChunkKind | None) -> list[str]:
    """Some texts as they are embedded, of documents of a kind, or of all."""
    ids = store.spaces.sample(number, _TIMED if kind is None else _LOOKED_AT)
    found = [one for one in store.chunks(ids.tolist()) if kind in {None, one.kind}]
    return [titled(one.chunk.title, one.chunk.text) for one in found[:_TIMED]]


def _top(store: Store, vector: FloatArray, number: int, where: Filter) -> IntArray:
    return store.nearest(vector, _DEPTH, where, space=number).ids


def kind_of(holds: Holds) -> ChunkKind | None:
    """The one kind of documents that a space holds; None for all."""
    return holds[0] if len(holds) == 1 else None


def is_made_by(stored: StoredSpace, artifact: str) -> bool:
    """Whether an artifact made it; before its name stands the program's version, where known."""
    return f" {stored.made_by}".endswith(f" {artifact}")
