"""One model in memory: opening it, running it, and what it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from embedwell.core.artifact import Artifact
from embedwell.core.device import resident_bytes, return_freed_memory
from embedwell.core.errors import (
    BadTextsError,
    EmbedwellError,
    EngineError,
    EngineMemoryError,
    WrongTaskError,
)
from embedwell.core.events import Watch
from embedwell.core.vectors import FloatArray
from embedwell.engines.protocol import Engine, EngineBuild, OpenEngine, TokenBatch
from embedwell.engines.registry import import_engine, open_engine
from embedwell.runtime.embedder import LocalEmbedder
from embedwell.runtime.needs import activation_bytes
from embedwell.runtime.placing import Held
from embedwell.runtime.pressure import Reading, read_machine
from embedwell.runtime.reranker import LocalReranker
from embedwell.runtime.states import Wish

Local: TypeAlias = LocalEmbedder | LocalReranker
"""What a loaded artifact is, by its head."""


@dataclass(frozen=True)
class Machine:
    """What the runtime asks of the world; tests give it another one.

    Attributes:
        import_engine: Brings in the libraries of an engine by its name.
        open_engine: Loads an artifact.
        resident_bytes: Memory of this process now.
        return_freed_memory: Gives what was freed back to the system.
        read_pressure: Says how full memory is.
        clock: Seconds, never going back.
    """

    import_engine: Callable[[str], None] = import_engine
    open_engine: OpenEngine = open_engine
    resident_bytes: Callable[[], int] = resident_bytes
    return_freed_memory: Callable[[], None] = return_freed_memory
    read_pressure: Callable[[], Reading] = read_machine
    clock: Callable[[], float] = time.monotonic


class Activity:
    """The runs of all engines, and what they add to the process: each byte counted once.

    Args:
        resident: Memory of this process now.
    """

    def __init__(self, resident: Callable[[], int]) -> None:
        self.n_runs = 0
        self._resident = resident
        self._n_running = 0
        self._counted: int | None = None  # memory up to which growth is somebody's already
        self._lock = threading.Lock()

    def begin(self, *, measured: bool) -> None:
        """A run begins; what was added while nothing ran is not a run's."""
        with self._lock:
            if self._n_running == 0:
                self._counted = None
            if measured and self._counted is None:
                self._counted = self._resident()
            self.n_runs += 1
            self._n_running += 1

    def end(self, *, measured: bool) -> int:
        """It ends; bytes that runs have added and that no other has been told of."""
        with self._lock:
            self._n_running -= 1
            if not measured or self._counted is None:
                return 0
            before, self._counted = self._counted, max(self._counted, self._resident())
            return self._counted - before


class MeteredEngine:
    """An engine that counts its texts, and what running them has added to the process.

    What an engine took for a batch it keeps for the next one.

    Args:
        engine: Owned from now on.
        most_bytes: What runs may add; once they have, nothing is measured any more.
        activity: The runs of all engines.
    """

    def __init__(self, engine: Engine, most_bytes: int, activity: Activity) -> None:
        self.n_texts = 0
        self.grown_bytes = 0
        self._engine = engine
        self._most_bytes = most_bytes
        self._activity = activity

    @property
    def build(self) -> EngineBuild:
        """See `Engine.build`."""
        return self._engine.build

    def run(self, batch: TokenBatch) -> FloatArray:
        """See `Engine.run`."""
        measured = self.grown_bytes < self._most_bytes
        self._activity.begin(measured=measured)
        try:
            return self._engine.run(batch)
        except MemoryError as error:
            raise EngineMemoryError(
                f"There was no memory for a batch of shape {batch.ids.shape}.",
                "Give the process more memory, or send fewer texts at once.",
            ) from error
        finally:
            grown = self.grown_bytes + self._activity.end(measured=measured)
            self.grown_bytes = min(grown, self._most_bytes)
            self.n_texts += len(batch.ids)

    def close(self) -> None:
        """See `Engine.close`."""
        self._engine.close()


class Model:
    """A loaded model; all that changes is guarded by the lock of whoever holds it.

    Args:
        local: Ready to use.
        engine: What it runs.
        load_bytes: What loading it took, at most.
        now: When it was loaded.
    """

    def __init__(self, local: Local, engine: MeteredEngine, load_bytes: int, now: float) -> None:
        self.artifact = local.artifact
        self._local: Local | None = local
        self.engine = engine
        self.load_bytes = load_bytes
        self.in_use = 0
        self.last_used = now
        self.leaving = ""  # why it is to be unloaded when nobody uses it any more
        self.closing = False  # its memory is being given back

    @property
    def size_bytes(self) -> int:
        """Memory that it takes or may still come to take."""
        return self.load_bytes + activation_bytes(self.artifact.space)

    @property
    def unspent_bytes(self) -> int:
        """What its runs may still add."""
        return max(0, activation_bytes(self.artifact.space) - self.engine.grown_bytes)

    @property
    def local(self) -> Local:
        """Ready to use.

        Raises:
            EngineError: The model was unloaded.
        """
        if self._local is None:
            raise EngineError(f"'{self.artifact.name}' is closed.", "Load it again.")
        return self._local

    def close(self) -> None:
        """Let go of all that it holds."""
        local, self._local = self._local, None
        if local is not None:
            local.close()

    def held(self, wish: Wish) -> Held:
        """As `placing` knows it."""
        return Held(
            self.artifact.key,
            self.size_bytes,
            in_use=self.in_use > 0 or self.closing,
            pinned=wish.pinned and not self.closing,
            priority=wish.priority,
            last_used=self.last_used,
        )


def close_doors(models: Iterable[Model]) -> None:
    """Let nobody in any more, before they are unloaded; the lock is held."""
    for model in models:
        model.closing = True


def open_model(
    artifact: Artifact,
    open_engine: Callable[[Artifact], MeteredEngine],
    tokens_per_batch: Callable[[], int],
    watch: Watch,
    warming: Callable[[], None],
) -> tuple[Local, MeteredEngine]:
    """Load an artifact and run one text, so that all that loading takes has been taken.

    Args:
        artifact: What to load.
        open_engine: Loads it.
        tokens_per_batch: For its batches.
        watch: Asked to stop between the parts.
        warming: Called before the first run.

    Raises:
        EngineMemoryError: The system gave no memory for it.
        EmbedwellError: It cannot be loaded.
        TaskCancelledError: `watch` was asked to stop.
    """
    watch.check("load")
    engine = None
    try:
        engine = open_engine(artifact)
        watch.check("load")
        made = LocalReranker if artifact.head == "rerank" else LocalEmbedder
        local = made(artifact, engine, tokens_per_batch)
        warming()
        _warm(local, Watch(cancelled=watch.cancelled))
    except BaseException as error:
        if engine is not None:
            with suppress(EmbedwellError):
                engine.close()
        if isinstance(error, MemoryError):
            raise EngineMemoryError(
                f"There was no memory to load '{artifact.name}'.", "Free some and try again."
            ) from error
        if isinstance(error, BadTextsError):  # no text is to blame
            why = next(iter(error.failures.values()))
            raise EngineError(f"'{artifact.name}' was loaded and does not run.", why) from error
        raise
    engine.n_texts = 0
    return local, engine


def as_embedder(local: Local) -> LocalEmbedder:
    """A model of vectors.

    Raises:
        WrongTaskError: It scores pairs.
    """
    if isinstance(local, LocalEmbedder):
        return local
    raise WrongTaskError(local.artifact.name, "rerank")


def as_reranker(local: Local) -> LocalReranker:
    """A model that scores pairs.

    Raises:
        WrongTaskError: It gives vectors.
    """
    if isinstance(local, LocalReranker):
        return local
    raise WrongTaskError(local.artifact.name, "embedding")


def _warm(local: Local, watch: Watch) -> None:
    if isinstance(local, LocalReranker):
        local.score("warm", ["warm"], watch)
    else:
        local.embed(["warm"], "document", watch)
