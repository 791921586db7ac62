"""The static engine: the mean of a table's rows, in numpy; the table is mapped from its file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedwell.core.artifact import Artifact
from embedwell.core.vectors import FloatArray
from embedwell.engines.faults import does_not_load, does_not_run, is_closed
from embedwell.engines.native import native_build
from embedwell.engines.protocol import Engine, EngineBuild, TokenBatch

TABLE_FILE, SCALES_FILE = "table.npy", "scales.npy"
_NATIVE = "numpy._core._multiarray_umath"  # what adds numpy's rows up


def open_engine(artifact: Artifact, n_threads: int) -> Engine:
    """Load an artifact.

    Args:
        artifact: Made by `models.static`.
        n_threads: Not needed: one thread is faster than the tokenizer.

    Raises:
        EngineError: The artifact cannot be loaded.
    """
    del n_threads
    return StaticEngine(artifact)


class StaticEngine:
    """A loaded artifact; see `engines.protocol.Engine`."""

    def __init__(self, artifact: Artifact) -> None:
        self._name = artifact.name
        try:
            table = np.load(artifact.folder / TABLE_FILE, mmap_mode="r", allow_pickle=False)
            self._table: npt.NDArray[np.generic] | None = table.view(np.ndarray)
            self._scales = np.load(artifact.folder / SCALES_FILE, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise does_not_load(artifact, error) from error

    @property
    def build(self) -> EngineBuild:
        """See `Engine.build`."""
        return engine_build()

    def run(self, batch: TokenBatch) -> FloatArray:
        """See `Engine.run`.

        A text none of whose tokens has a vector gets the table's last row: no vector is zero.
        """
        if self._table is None:
            raise is_closed(self._name)
        try:
            # Products of one text each: three times as fast as adding up rows of all texts.
            shares = self._scales[batch.ids] * batch.mask.astype(np.float32)
            rows = self._table[batch.ids].astype(np.float32)
        except IndexError as error:
            raise does_not_run(self._name, batch, error) from error
        counts = np.maximum(batch.mask.sum(axis=1, keepdims=True), 1)
        vectors: FloatArray = np.matmul(shares[:, None, :], rows)[:, 0] / counts.astype(np.float32)
        vectors[~vectors.any(axis=1)] = self._table[-1].astype(np.float32) * self._scales[-1]
        return vectors

    def close(self) -> None:
        """See `Engine.close`."""
        self._table = None


def engine_build() -> EngineBuild:
    """The code that is installed."""
    library = Path(str(sys.modules[_NATIVE].__file__))
    return EngineBuild("static", np.__version__, native_build(library))
