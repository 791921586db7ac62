"""Each text is computed once: in one call, among calls at the same time, and for a while after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from embedwell.core.artifact import Artifact
from embedwell.core.build import BuildRecord
from embedwell.core.embedded import Embedded
from embedwell.core.errors import BadTextsError
from embedwell.core.events import Watch
from embedwell.core.space import Kind, Space
from embedwell.core.vectors import FloatArray
from embedwell.runtime.cache import Origin, VectorCache

Embed: TypeAlias = Callable[[Sequence[str], Kind, Watch], Embedded]
"""As `TextEmbedder.embed`; one build computes all that one call gives."""

# How often a thread that waits for another's vectors looks whether it was asked to stop.
_LOOK_S = 0.05


class _Flight:
    """Texts that one call computes now; others may wait for them."""

    def __init__(self, *, bulk: bool) -> None:
        self.bulk = bulk
        self.followed = False
        self.rows: dict[str, int] = {}
        self.landed = threading.Event()
        self.embedded: Embedded | None = None  # None when it landed: they were not computed
        self.failures: dict[int, str] = {}

    def has(self, text: str) -> bool:
        """Whether it landed with a vector of this text."""
        return self.embedded is not None and self.rows[text] not in self.failures


Awaited: TypeAlias = list[tuple[str, _Flight]]


class _Answer:
    """What one call gives, filled as it is found."""

    def __init__(self, artifact: Artifact, texts: Sequence[object]) -> None:
        self.max_tokens = artifact.space.max_tokens
        self.artifact = artifact.name
        self.builds: list[BuildRecord] = []  # of what was taken, each once
        self.vectors = np.empty((len(texts), artifact.space.dimensions), dtype=np.float32)
        self.n_tokens = np.zeros(len(texts), dtype=np.int64)
        self.failures: dict[int, str] = {}
        self.places: dict[str, list[int]] = {}
        self.odd: list[int] = []  # no texts at all: whoever computes says what is wrong
        for position, text in enumerate(texts):
            if isinstance(text, str):
                self.places.setdefault(text, []).append(position)
            else:
                self.odd.append(position)

    def take(self, text: str, vector: FloatArray, n_tokens: int, build: BuildRecord) -> None:
        """Take a text's vector; it may stand at several positions."""
        self._note(build)
        for position in self.places[text]:
            self.vectors[position] = vector
            self.n_tokens[position] = n_tokens

    def take_all(self, flight: _Flight) -> None:
        """Take what this call computed itself, failures too."""
        found = flight.embedded
        if found is None:
            return
        self._note(found.build)
        wanted = [self.places[text] for text in flight.rows] + [[at] for at in self.odd]
        rows = np.repeat(np.arange(len(wanted)), [len(positions) for positions in wanted])
        at = np.array([position for positions in wanted for position in positions])
        self.vectors[at] = found.vectors[rows]
        self.n_tokens[at] = found.n_tokens[rows]
        for row, reason in flight.failures.items():
            self.failures |= dict.fromkeys(wanted[row], reason)
        self.odd = []

    def embedded(self) -> Embedded:
        """All of it.

        Raises:
            BadTextsError: Some texts could not be embedded.
        """
        n_truncated = int((self.n_tokens > self.max_tokens).sum())
        build = self.builds[0] if self.builds else BuildRecord.of_nothing(self.artifact)
        found = Embedded(self.vectors, self.n_tokens, n_truncated, build)
        if self.failures:
            raise BadTextsError(dict(sorted(self.failures.items())), found)
        return found

    def _note(self, build: BuildRecord) -> None:
        if not any(build is known or build.key == known.key for known in self.builds):
            self.builds.append(build)


class ComputedOnce:
    """Computes what is neither kept nor being computed. Safe to call from several threads.

    Args:
        cache: Where vectors are kept.
    """

    def __init__(self, cache: VectorCache) -> None:
        self.cache = cache
        self._lock = threading.Lock()
        self._flights: dict[tuple[Origin, str], _Flight] = {}

    def embed(
        self, artifact: Artifact, compute: Embed, texts: Sequence[str], kind: Kind, watch: Watch
    ) -> Embedded:
        """Embed texts, computing each one at most once.

        A text that another call computes now is waited for, and computed here if that call fails
        or is cancelled. A short call does not wait for a long one: computing again is quicker.
        Where the vectors found come from two builds, all are computed anew by one of them.

        Args:
            artifact: What computes them.
            compute: How. Called with the texts that nobody has, each one once.
            texts: Any number.
            kind: What they are.
            watch: Passed to `compute`.

        Raises:
            BadTextsError: Some texts could not be embedded; the error holds the other vectors.
            EmbedwellError: As `compute` does.
        """
        watch.check("embed")
        origin = Origin(_space_id(artifact.space), artifact.key, kind)
        answer = _Answer(artifact, texts)
        left = list(answer.places)
        while left or answer.odd:
            epoch = self.cache.epoch
            mine, others = self._claim(origin, left, answer)
            if mine.rows or answer.odd:
                asked = [*mine.rows, *(texts[position] for position in answer.odd)]
                self._compute(mine, origin, epoch, artifact, lambda: compute(asked, kind, watch))  # noqa: B023  # called at once
                if mine.embedded is not None and _is_all(mine, len(texts)):
                    return mine.embedded
                answer.take_all(mine)
            left = _wait(answer, others, watch)
        if len(answer.builds) > 1:
            return compute(texts, kind, watch)
        watch.progress("embed", len(texts), len(texts), "texts")
        return answer.embedded()

    def _claim(
        self, origin: Origin, texts: Sequence[str], answer: _Answer
    ) -> tuple[_Flight, Awaited]:
        """Take what is kept; of the rest, what to compute and what to wait for."""
        bulk = self.cache.is_bulk(len(texts))
        mine, others = _Flight(bulk=bulk), []
        with self._lock:
            for text, kept in zip(texts, self.cache.find(origin, texts), strict=True):
                flight = self._flights.get((origin, text))
                if kept is not None:
                    answer.take(text, kept.vector, kept.n_tokens, kept.build)
                elif flight is not None and (bulk or not flight.bulk):
                    flight.followed = True
                    others.append((text, flight))
                else:
                    mine.rows[text] = len(mine.rows)
                    self._flights.setdefault((origin, text), mine)
        return mine, others

    def _compute(
        self,
        flight: _Flight,
        origin: Origin,
        epoch: int,
        artifact: Artifact,
        compute: Callable[[], Embedded],
    ) -> None:
        """Compute what a flight holds, and let it land whatever happens."""
        try:
            try:
                flight.embedded = compute()
            except BadTextsError as error:
                flight.failures, flight.embedded = error.failures, error.embedded
        finally:
            with self._lock:  # kept and no longer in flight at once: nobody misses it twice
                if flight.embedded and flight.embedded.artifact == artifact.name:
                    self._keep(flight, origin, epoch, flight.embedded)
                for text in flight.rows:
                    if self._flights.get((origin, text)) is flight:
                        del self._flights[origin, text]
            flight.landed.set()

    def _keep(self, flight: _Flight, origin: Origin, epoch: int, found: Embedded) -> None:
        if flight.bulk:
            return
        good = [text for text in flight.rows if flight.has(text)]
        rows = [flight.rows[text] for text in good]
        vectors, n_tokens = found.vectors[rows], found.n_tokens[rows]
        self.cache.keep(origin, good, vectors, n_tokens, found.build, epoch=epoch)


def _is_all(flight: _Flight, n_texts: int) -> bool:
    """Whether it can be passed on as it is: all texts, each once and good, and nobody else's."""
    return len(flight.rows) == n_texts and not flight.failures and not flight.followed


def _wait(answer: _Answer, others: Awaited, watch: Watch) -> list[str]:
    """Take what other calls computed; returns the texts that they did not."""
    left: list[str] = []
    for text, flight in others:
        while not flight.landed.wait(_LOOK_S):
            watch.check("embed")
        if flight.embedded is not None and flight.has(text):
            row, found = flight.rows[text], flight.embedded
            answer.take(text, found.vectors[row], int(found.n_tokens[row]), found.build)
        else:
            left.append(text)
    return left


@lru_cache(maxsize=64)
def _space_id(space: Space) -> str:
    return space.id
