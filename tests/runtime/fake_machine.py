"""A machine whose memory is a sum, for tests of what is loaded and what has to go."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from embedwell.core.artifact import Artifact
from embedwell.core.space import Space
from embedwell.engines.protocol import EngineBuild, TokenBatch
from embedwell.runtime.model import Machine
from embedwell.runtime.needs import activation_bytes
from embedwell.runtime.pressure import Reading

MB = 1 << 20
BASE = 50 * MB
DIMENSIONS = 4


def artifact_of(folder: Path, name: str, size_mb: int = 30, quantization="q8") -> Artifact:
    """An artifact whose loading takes that much."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[UNK] $A", special_tokens=[("[UNK]", 0)])
    tokenizer.save(str(place / "tokenizer.json"))
    space = Space(name, "1", "mean", True, "", "", 16, DIMENSIONS)
    key = f"{name}-{quantization}"
    return Artifact(space, quantization, "fake", place, key, "", "", size_mb * MB)


RUN = activation_bytes(Space("", "1", "mean", True, "", "", 16, DIMENSIONS))


class FakeMachine:
    """Counts memory: loading an artifact adds its size, its first run a megabyte.

    Attributes:
        n_loads: By the key of the artifact.
        faults: Raised one after the other by loading the artifact of that key.
        run_faults: The same by running.
        hold: Loading waits until it is set; set from the start.
        begun: Set when loading has begun.
        fraction: How full memory is.
        now: The clock.
        peak: Most memory there was.
        swells: What loading takes beyond the artifact's size.
    """

    def __init__(self) -> None:
        self.taken = BASE
        self.kept_back = 0
        self.peak = BASE
        self.n_loads: Counter[str] = Counter()
        self.n_running_loads = 0
        self.faults: dict[str, list[Exception]] = {}
        self.run_faults: dict[str, list[Exception]] = {}
        self.hold = threading.Event()
        self.hold.set()
        self.begun = threading.Event()
        self.fraction = 0.1
        self.now = 0.0
        self.swells = 0
        self._lock = threading.Lock()

    def machine(self) -> Machine:
        return Machine(
            import_engine=lambda name: None,
            open_engine=self.open,
            resident_bytes=lambda: self.taken + self.kept_back,
            return_freed_memory=self.trim,
            read_pressure=lambda: Reading(self.fraction),
            clock=lambda: self.now,
        )

    def open(self, artifact: Artifact, n_threads: int) -> FakeEngine:
        del n_threads
        self.n_loads[artifact.key] += 1
        self.n_running_loads += 1
        assert self.n_running_loads == 1, "two models were loaded at once"
        self.begun.set()
        try:
            assert self.hold.wait(20)
            if faults := self.faults.get(artifact.key):
                raise faults.pop(0)
        finally:
            self.n_running_loads -= 1
        self.add(artifact.size_bytes + self.swells)
        return FakeEngine(self, artifact)

    def add(self, n_bytes: int) -> None:
        with self._lock:
            self.taken += n_bytes
            self.peak = max(self.peak, self.taken + self.kept_back)

    def free(self, n_bytes: int) -> None:
        """Like the C library: the pages come back only when asked for."""
        with self._lock:
            self.taken -= n_bytes
            self.kept_back += n_bytes

    def trim(self) -> None:
        with self._lock:
            self.kept_back = 0


class FakeEngine:
    """Gives every text the vector of ones."""

    def __init__(self, machine: FakeMachine, artifact: Artifact) -> None:
        self._machine = machine
        self._key = artifact.key
        self._held = artifact.size_bytes + machine.swells

    build = EngineBuild("fake", "1", "")

    def run(self, batch: TokenBatch):
        if faults := self._machine.run_faults.get(self._key):
            raise faults.pop(0)
        return np.ones((len(batch.ids), DIMENSIONS), np.float32)

    def close(self) -> None:
        self._machine.free(self._held)
        self._held = 0
