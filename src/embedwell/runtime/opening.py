"""Loading one artifact, and measuring what that takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from embedwell.core.artifact import Artifact
from embedwell.core.events import Watch
from embedwell.engines.registry import tokens_per_batch
from embedwell.runtime.batching import TOKENS_PER_BATCH
from embedwell.runtime.model import Activity, Machine, MeteredEngine, Model, open_model
from embedwell.runtime.needs import (
    PeakMemory,
    activation_bytes,
    estimated_load_bytes,
    tokens_that_fit,
)
from embedwell.runtime.pressure import PressureGauge
from embedwell.runtime.remembered import Remembered
from embedwell.runtime.states import Limits


class Opener:
    """Loads artifacts for whoever has made room for them.

    Args:
        limits: The budget and the threads of each engine.
        machine: What is asked of the world.
        remembered: What artifacts were measured to need; added to.
        gauge: Pressure, which makes batches smaller.
        resident: Memory of this process, with what runs of its models may still add.
    """

    def __init__(
        self,
        limits: Limits,
        machine: Machine,
        remembered: Remembered,
        gauge: PressureGauge,
        resident: Callable[[], int],
    ) -> None:
        self._limits = limits
        self._machine = machine
        self._remembered = remembered
        self._gauge = gauge
        self._resident = resident
        self._activity = Activity(machine.resident_bytes)

    def need_bytes(self, artifact: Artifact) -> int:
        """Memory that an artifact takes: as measured before on this machine, else estimated."""
        return self._load_bytes(artifact) + activation_bytes(artifact.space)

    def open(self, artifact: Artifact, watch: Watch, stage: Callable[[str], None]) -> Model:
        """Load an artifact, and remember what that took where nothing else ran meanwhile.

        Args:
            artifact: What to load.
            watch: Asked to stop between the parts.
            stage: Told the name of each stage as it begins: `load`, `warm`.

        Raises:
            EngineMemoryError: The system gave no memory for it.
            EmbedwellError: It cannot be loaded.
            TaskCancelledError: `watch` was asked to stop.
        """
        stage("load")
        before = self._activity.n_runs
        with PeakMemory(self._machine.resident_bytes) as memory:
            local, engine = open_model(
                artifact,
                self._open_engine,
                partial(self._tokens_per_batch, artifact),
                watch,
                partial(stage, "warm"),
            )
        if self._activity.n_runs == before + 1:  # the one that warmed it
            taken = memory.peak - memory.before - engine.grown_bytes
            self._remembered.put(_measured_as(artifact), max(1, taken))
        return Model(local, engine, self._load_bytes(artifact), self._machine.clock())

    def _load_bytes(self, artifact: Artifact) -> int:
        known = self._remembered.get(_measured_as(artifact))
        return estimated_load_bytes(artifact) if known is None else known

    def _open_engine(self, artifact: Artifact) -> MeteredEngine:
        return MeteredEngine(
            self._machine.open_engine(artifact, self._limits.n_threads),
            activation_bytes(artifact.space),
            self._activity,
        )

    def _tokens_per_batch(self, artifact: Artifact) -> int:
        free = self._limits.budget_bytes - self._resident() + activation_bytes(artifact.space)
        share = self._gauge.now().action.batch_share
        most = tokens_per_batch(artifact.engine, TOKENS_PER_BATCH)
        return tokens_that_fit(free, artifact.space, share, most)


def _measured_as(artifact: Artifact) -> str:
    """Another engine needs another amount of memory for the same files."""
    return f"{artifact.key}-{artifact.engine}"
