"""What `Index.pairing` does: a space for code beside the main one, online."""

from __future__ import annotations

from embedwell.app.indexes.embedders import Embedders
from embedwell.app.indexes.migration import (
    Target,
    check_room,
    embedder_for,
    gives_others,
    look_ahead,
    target_named,
)
from embedwell.core.errors import MigrationError
from embedwell.core.events import Watch
from embedwell.handshake.admit import AdmittedEmbedder
from embedwell.jobs.migrate import is_made_by
from embedwell.jobs.pair import PairPlan, PairReport, plan_of, plan_wider, settle, undo
from embedwell.stores.protocol import Store
from embedwell.stores.spaces import EVERYTHING, StoredSpace


class Pairing:
    """Gives code of one index a model and a space of its own, or takes them away.

    Args:
        store: What is changed.
        embedders: Of that store.
    """

    def __init__(self, store: Store, embedders: Embedders) -> None:
        self._store = store
        self._embedders = embedders

    def plan(
        self, code: str | None, *, hybrid: bool = False, watch: Watch | None = None
    ) -> PairPlan:
        """What `settle` would do and take; nothing is written.

        Raises:
            ModelError: There is no such model.
            MigrationError: It cannot be done as asked.
            StoreFullError: The disk has too little room for it.
            OverBudgetError: A model does not fit.
        """
        store, watch, moves = self._store, watch or Watch(), []
        to = self._target(code, watch)
        if to and not self._is_there(to, watch):
            moves.append(look_ahead(store, self._embedders, to, of_code=True, watch=watch))
        if (hybrid or to is None) and store.spaces.main().holds != EVERYTHING:
            moves.append(plan_wider(store, self._embedders.main(watch)))
            check_room(store, moves[-1])
        return plan_of(store, to.space.model if to else "", moves, hybrid=hybrid)

    def settle(
        self,
        code: str | None,
        *,
        hybrid: bool = False,
        keep_old: bool = False,
        chunks_per_s: float = 0.0,
        watch: Watch | None = None,
    ) -> PairReport:
        """Make it so while others search and write; stopped, the same call goes on.

        Args:
            code: The model of code; None for one space of everything.
            hybrid: Whether code is to be in the main space too.
            keep_old: Keep the vectors of an earlier code space, for `Index.roll_back`.
            chunks_per_s: Most chunks embedded in a second; 0 for as many as can be.
            watch: Told of progress; may stop the run.

        Raises:
            ModelError: There is no such model.
            MigrationError: It cannot be done as asked, or a new space is not good.
        """
        store, watch = self._store, watch or Watch()
        to = self._target(code, watch)

        def embedder_of(stored: StoredSpace) -> AdmittedEmbedder:
            return self._embedders.of(stored, watch)

        if to is None:
            return undo(store, embedder_of, watch, chunks_per_s=chunks_per_s)
        embedder = None
        if not self._is_there(to, watch):
            embedder = embedder_for(store, self._embedders, to, of_code=True, watch=watch)
        return settle(
            store,
            embedder,
            embedder_of,
            watch,
            hybrid=hybrid,
            keep_old=keep_old,
            chunks_per_s=chunks_per_s,
        )

    def _target(self, code: str | None, watch: Watch) -> Target | None:
        self._embedders.check()
        if code is not None:
            return target_named(self._embedders.settings, code, watch)
        if self._store.spaces.code() is None:
            raise MigrationError(
                "The index has one space for text and code already.", "Nothing needs to be done."
            )
        return None

    def _is_there(self, to: Target, watch: Watch) -> bool:
        """Whether the code space is that of a target, at its quantization where one was named."""
        code = self._store.spaces.code()
        if code is None or code.space != to.space:
            return False
        if to.is_exact and not is_made_by(code, to.artifact):
            return False
        return not gives_others(self._embedders, to.settings if to.is_exact else None, watch, code)
