"""Give an index a code space beside its main one, change it, or go back to one for everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from embedwell.core.events import Watch
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.jobs.migrate import MigrationReport, Plan, bytes_of, in_the_way, migrate, plan
from embedwell.stores.protocol import Store
from embedwell.stores.spaces import CODE_ALONE, EVERYTHING, StoredSpace

EmbedderOf: TypeAlias = Callable[[StoredSpace], AdmittedEmbedder]
"""Gives the embedder of one of the store's spaces."""


@dataclass(frozen=True)
class PairPlan:
    """What `settle` or `undo` would do.

    Attributes:
        main_model: Model of the main space.
        code_model: Model of the code space; empty where there will be none.
        hybrid: Whether code will be in the main space too.
        moves: The spaces that would be filled: that of code, or the main one with code in it.
        n_given_up: Chunks of code whose vectors the main space would give up afterwards.
        n_dropped: Chunks whose vectors would be dropped with the code space.
        is_done: Whether all is so already.
    """

    main_model: str
    code_model: str
    hybrid: bool
    moves: list[Plan]
    n_given_up: int
    n_dropped: int
    is_done: bool


@dataclass(frozen=True)
class PairReport:
    """What became of an index that holds text and code.

    Attributes:
        main_model: Model of the main space.
        code_model: Model of the code space; empty where there is none.
        hybrid: Whether code is in the main space too.
        moves: The spaces that were filled on the way: see `PairPlan`.
        n_given_up: Chunks of code whose vectors the main space gave up.
        n_dropped: Chunks whose vectors were dropped with the code space.
    """

    main_model: str
    code_model: str
    hybrid: bool
    moves: list[MigrationReport]
    n_given_up: int = 0
    n_dropped: int = 0


def plan_of(store: Store, code_model: str, moves: list[Plan], *, hybrid: bool) -> PairPlan:
    """What becomes of a store when these spaces are filled.

    Args:
        store: What would be changed.
        code_model: Model of the code space; empty for none.
        moves: The spaces that are to be filled.
        hybrid: Whether code is to be in the main space too.
    """
    now = report_of(store, [])
    n_code = store.n_chunks("code")
    holds_code = store.spaces.main().holds == EVERYTHING
    return PairPlan(
        main_model=now.main_model,
        code_model=code_model,
        hybrid=hybrid,
        moves=moves,
        n_given_up=n_code if holds_code and code_model and not hybrid else 0,
        n_dropped=n_code if now.code_model and not code_model else 0,
        is_done=not moves and (now.code_model, now.hybrid) == (code_model, hybrid),
    )


def plan_wider(store: Store, embedder: AdmittedEmbedder) -> Plan:
    """Look at what it would take to let a main space of text hold code too; nothing is written.

    Args:
        store: What would be changed.
        embedder: The main space's.

    Raises:
        MigrationError: Another migration is in the way.
    """
    main = store.spaces.main()
    found = plan(store, main.space, None, embedder, holds=CODE_ALONE)
    begun = _begun(store, main)
    # Those of text are copied, and which of them are there already does not matter for the time.
    n_lacking = store.spaces.n_missing(begun.number) if begun else store.counts().chunks
    n_missing = min(found.n_missing, n_lacking)
    return replace(
        found,
        n_missing=n_missing,
        seconds=n_missing / found.chunks_per_s if found.chunks_per_s else 0.0,
        bytes=bytes_of(n_lacking, main.space.dimensions),
        holds=EVERYTHING,
    )


def settle(
    store: Store,
    code: AdmittedEmbedder | None,
    embedder_of: EmbedderOf,
    watch: Watch,
    *,
    hybrid: bool,
    keep_old: bool = False,
    chunks_per_s: float = 0.0,
) -> PairReport:
    """Make a pair of a store, with this code space, while others search and write.

    Stopped at any moment, every chunk is in a space that is searched, and the same call goes on.

    Args:
        store: What is changed.
        code: Embeds for the code space, or for the one that is to become it.
        embedder_of: Gives the main space's embedder, where that one must take code back.
        watch: Told of progress, asked to stop.
        hybrid: Whether code is to be in the main space too.
        keep_old: Whether the vectors of an earlier code space stay, for `roll_back`.
        chunks_per_s: Most chunks embedded in a second; 0 for as many as can be.

    Raises:
        MigrationError: The new space is not good, or another migration is in the way.
        DriftError: An embedder's build is not fit for its space.
        TaskCancelledError: `watch` was asked to stop; what was stored is kept.
    """
    moves = []
    if code and store.spaces.get(code.number).role != "code":
        moves.append(migrate(store, code, watch, keep_old=keep_old, chunks_per_s=chunks_per_s))
    n_given_up, holds_code = 0, store.spaces.main().holds == EVERYTHING
    if hybrid and not holds_code:
        moves.append(_widen(store, embedder_of, watch, chunks_per_s))
    elif holds_code and not hybrid:
        store.spaces.split()
        n_given_up = store.n_chunks("code")
    return replace(report_of(store, moves), n_given_up=n_given_up)


def undo(
    store: Store, embedder_of: EmbedderOf, watch: Watch, *, chunks_per_s: float = 0.0
) -> PairReport:
    """Go back to one space for everything: the main one takes code back, the code one is dropped.

    Args:
        store: What is changed.
        embedder_of: Gives the main space's embedder.
        watch: Told of progress, asked to stop.
        chunks_per_s: Most chunks embedded in a second; 0 for as many as can be.

    Raises:
        MigrationError, DriftError, TaskCancelledError: As `settle`.
    """
    moves = []
    if store.spaces.main().holds != EVERYTHING:
        moves.append(_widen(store, embedder_of, watch, chunks_per_s))
    n_dropped = 0
    if code := store.spaces.code():
        store.spaces.drop(code.number)
        n_dropped = store.n_chunks("code")
    return replace(report_of(store, moves), n_dropped=n_dropped)


def report_of(store: Store, moves: list[MigrationReport]) -> PairReport:
    """How a store keeps text and code now."""
    main, code = store.spaces.main(), store.spaces.code()
    is_hybrid = code is not None and main.holds == EVERYTHING
    return PairReport(main.space.model, code.space.model if code else "", is_hybrid, moves)


def _widen(
    store: Store, embedder_of: EmbedderOf, watch: Watch, chunks_per_s: float
) -> MigrationReport:
    """Let a main space of text hold everything, with the vectors that it has."""
    main = store.spaces.main()
    wider = _wider_space(store, main)
    # Its vectors are those of the builds that the main space has admitted, so that one's reference
    # is what others are measured against.
    if reference := store.spaces.reference(main.number):
        store.spaces.refer(wider.number, reference)
    return migrate(
        store, embedder_of(wider), watch, chunks_per_s=chunks_per_s, copy_from=main.number
    )


def _wider_space(store: Store, main: StoredSpace) -> StoredSpace:
    begun = _begun(store, main)
    return begun or store.spaces.add(main.space, "next", main.made_by, holds=EVERYTHING)


def _begun(store: Store, main: StoredSpace) -> StoredSpace | None:
    """The wider space that is being filled; None where none is."""
    for stored in store.spaces.all():
        if stored.role == "next":
            if (stored.space, stored.holds, stored.made_by) != (
                main.space,
                EVERYTHING,
                main.made_by,
            ):
                raise in_the_way(stored, main)
            return stored
    return None
