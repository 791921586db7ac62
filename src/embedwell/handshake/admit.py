"""May this artifact use this store? Asked before the first vector is written or compared."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime

import numpy as np

from embedwell.core.build import BuildRecord
from embedwell.core.embedded import Embedded
from embedwell.core.errors import (
    BadTextsError,
    DriftError,
    EngineError,
    RemoteChangedError,
    SpaceMismatchError,
    SpaceMovedError,
    StoreError,
)
from embedwell.core.events import Watch
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import IntArray, normalized
from embedwell.handshake.drift import BOUNDS, WIDE, Drift
from embedwell.handshake.prove import Proof, against, agreeing, prove
from embedwell.handshake.refusal import refusal
from embedwell.runtime.protocol import TextEmbedder
from embedwell.stores.protocol import Store
from embedwell.stores.spaces import Admission, Reference, StoredSpace

# A service that comes and goes makes a batch and its probes differ in their build; not for long.
_ATTEMPTS = 4
_LEAST_AGREEING = 0.25
_UNIT = 1e-3  # float32 and lower quantizations stay far inside


class AdmittedEmbedder:
    """A `TextEmbedder` all of whose vectors may meet those of one space of a store.

    Every build is measured before its first vectors are handed out. Belongs to the thread that
    owns the store.

    Attributes:
        number: The space.
        unproven: What is wrapped, for those who measure it.

    Args:
        store: Which store.
        number: Which of its spaces.
        embedder: Owned from now on.
        accept_drift: Names of artifacts that are let in up to the wide bounds.
        target: Where the store is, for people.
    """

    def __init__(
        self,
        store: Store,
        number: int,
        embedder: TextEmbedder,
        accept_drift: Sequence[str],
        target: str,
    ) -> None:
        self.number = number
        self.unproven = embedder
        self._store = store
        self._accept_drift = accept_drift
        self._target = target
        self._known: set[str] = set()
        self._lock = threading.Lock()

    @property
    def space(self) -> Space:
        """The space of its vectors."""
        return self.unproven.space

    def embed(self, texts: Sequence[str], kind: Kind, watch: Watch) -> Embedded:
        """Embed texts of any number and length.

        Raises:
            BadTextsError: Some texts could not be embedded; the error holds the other vectors.
            DriftError: What computed them is not fit for the store.
            BadVectorError: It would be the first to write, and its vectors cannot be right.
            EngineError: What computes keeps changing.
            RemoteChangedError: A server's model keeps changing.
            SpaceMovedError: The store no longer has the space.
            TaskCancelledError: `watch` was asked to stop.
        """
        changed: RemoteChangedError | None = None
        for _ in range(_ATTEMPTS):
            failed = None
            try:
                found = self.unproven.embed(texts, kind, watch)
            except BadTextsError as error:
                failed, found = error, error.embedded
            except RemoteChangedError as error:  # the next one is measured before it is let in
                changed = error
                continue
            if not len(texts) or self._is_admitted(found.build, watch):
                if failed is not None:
                    raise failed
                return _scaled(found, self.space)
        if changed is not None:
            raise changed
        raise EngineError(
            f"What embeds for {self._target} changed {_ATTEMPTS} times in a row; now it is "
            f"{found.build}.",
            "Try again once the service stays up, or set `service` to `off`.",
        )

    def greet(self, watch: Watch) -> None:
        """Prove the present build now, unless one was admitted already, rather than later.

        Raises:
            DriftError: It is not fit for the store.
        """
        if not self._known:
            self.embed(["May what computes this write here?"], "document", watch)

    def accept(self, found: Embedded, watch: Watch) -> Embedded | None:
        """What another thread got from `unproven`, once its build is admitted.

        Returns:
            The vectors; None where the build changed meanwhile: embed the texts again.

        Raises:
            DriftError: What computes now is not fit for the store.
        """
        return _scaled(found, self.space) if self._is_admitted(found.build, watch) else None

    def prove_again(self, watch: Watch) -> Drift:
        """Measure the present build anew, whatever is recorded of it.

        By the probes, and by stored chunks: hardly any of them is where it was only if the build is
        what is wrong, rather than a part of what was stored.

        Raises:
            DriftError: It is not fit for the store.
        """
        proof = prove(self._store, self.number, self.unproven, watch)
        self._judge(proof, watch)
        found = agreeing(self._store, self.number, self.unproven, proof.scale, watch)
        if found is not None:
            drift, share, worst_text = found
            if share < _LEAST_AGREEING:
                chunks = replace(proof, drift=drift, against="chunks", worst_text=worst_text)
                raise self._refusal(chunks, watch)
        return proof.drift

    def token_starts(self, text: str) -> IntArray:
        """Offsets in code points of every token's first character, special tokens left out."""
        return self.unproven.token_starts(text)

    def close(self) -> None:
        """Give the memory back; the store stays open."""
        self.unproven.close()

    def _is_admitted(self, build: BuildRecord, watch: Watch) -> bool:
        """Whether a build is admitted, which is found out now if it was not known yet.

        Raises:
            DriftError: What computes now is not fit for the store.
        """
        if build.key in self._known:
            return True
        with self._lock:
            if build.key not in self._known:
                stored = self._store.spaces.admission(self.number, build.key)
                is_valid = stored is not None and self._still_holds(stored)
                self._known.add(build.key if is_valid else self._handshake(watch))
        return build.key in self._known

    def _still_holds(self, admission: Admission) -> bool:
        """Who was let in by name is only as long as the setting names it."""
        return not admission.accepted or admission.accepted in self._accept_drift

    def _handshake(self, watch: Watch) -> str:
        """Measure the present build and let it in; returns its key."""
        proof = prove(self._store, self.number, self.unproven, watch)
        accepted = self._judge(proof, watch)
        if proof.against != "probes":
            winner = self._refer(proof.reference)
            if winner.build.key != proof.build.key:  # another process was first in this moment
                proof = against(winner, proof.build, proof.vectors)
                accepted = self._judge(proof, watch)
        drift = proof.drift
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._record(Admission(proof.build, drift.mean, drift.worst, accepted, now))
        return proof.build.key

    def _judge(self, proof: Proof, watch: Watch) -> str:
        """The entry of `accept_drift` that lets it in; empty where it is within the bounds."""
        if proof.drift.within(BOUNDS):
            return ""
        name = proof.build.artifact
        if name in self._accept_drift and proof.drift.within(WIDE):
            return name
        raise self._refusal(proof, watch)

    def _refusal(self, proof: Proof, watch: Watch) -> DriftError:
        store, number, target = self._store, self.number, self._target
        return refusal(store, number, self.unproven, proof, target=target, watch=watch)

    def _refer(self, reference: Reference) -> Reference:
        """Set the reference if nobody did; a store that cannot be written now stays as it is."""
        try:
            return self._store.spaces.refer(self.number, reference)
        except SpaceMovedError:
            raise
        except StoreError:
            return reference

    def _record(self, admission: Admission) -> None:
        with suppress(StoreError):  # whoever only reads is measured again next time
            self._store.spaces.admit(self.number, admission)


def admitted(
    store: Store,
    number: int,
    embedder: TextEmbedder,
    accept_drift: Sequence[str],
    target: str,
) -> AdmittedEmbedder:
    """Wrap an embedder for writing to a space and comparing with its vectors.

    Args:
        store: Which store.
        number: Which of its spaces.
        embedder: Owned by what is returned.
        accept_drift: Names of artifacts that are let in up to the wide bounds.
        target: Where the store is, for people.

    Raises:
        SpaceMismatchError: The embedder is of another space.
        SpaceMovedError: The store has no such space.
    """
    check_declaration(store.spaces.get(number), embedder.space)
    return AdmittedEmbedder(store, number, embedder, accept_drift, target)


def check_declaration(stored: StoredSpace, space: Space) -> None:
    """Refuse another space than a store's, before a model is loaded.

    Args:
        stored: The store's.
        space: Of the vectors that would be written or compared.

    Raises:
        SpaceMismatchError: The declarations differ; the message names each field that does.
    """
    if stored.space == space:
        return
    maker = f", made by {stored.made_by}," if stored.made_by else ""
    option = "--code-model" if stored.role == "code" else "--model"
    raise SpaceMismatchError(
        f"The index holds vectors of {_named(stored.space)}{maker} and was asked with "
        f"{_named(space)}; they differ in {_differences(stored.space, space)}.",
        f"Use the model of the index (`{option} {stored.space.model}`), move it to another one "
        "(`embedwell migrate`), or index again into another file (`--db FILE`).",
    )


def _scaled(found: Embedded, space: Space) -> Embedded:
    """With unit vectors where the space says so: the handshake looks at directions alone."""
    if not space.normalized or not len(found.vectors):
        return found
    squares = np.einsum("nd,nd->n", found.vectors, found.vectors)
    if np.abs(squares - 1).max() <= _UNIT:
        return found
    return Embedded(normalized(found.vectors), found.n_tokens, found.n_truncated, found.build)


def _named(space: Space) -> str:
    return f"{space.model} (space {space.id[:12]}, {space.dimensions} dimensions)"


def _differences(stored: Space, asked: Space) -> str:
    asked_fields = asdict(asked)
    return "; ".join(
        f"{name}: {value!r} in the index, {asked_fields[name]!r} asked"
        for name, value in asdict(stored).items()
        if value != asked_fields[name]
    )
